"""The activation functions of RNN, GRU and LSTM: those that ONNX names, with the parameters of each node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import onnx_ir as ir

from graphprune.backends.tvm.kernels import math
from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.cells import Activation
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.scalar_base import Scalar, float_attribute, like


class Function(NamedTuple):
    """A function, as the table of element-wise operators has it, and its parameters with their defaults, if any."""

    compute: Scalar
    parameters: dict[str, float | None]


def _affine(node: ir.Node, a: Sequence[Expr]) -> Expr:
    alpha, beta = (like(a[0], float_attribute(node, name, 0.0)) for name in ("alpha", "beta"))
    return alpha * a[0] + beta


def _scaled_tanh(node: ir.Node, a: Sequence[Expr]) -> Expr:
    alpha, beta = (like(a[0], float_attribute(node, name, 0.0)) for name in ("alpha", "beta"))
    return alpha * math.tanh(beta * a[0])


FUNCTIONS = {
    **{name.lower(): Function(SCALAR[name], {}) for name in ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")},
    "affine": Function(_affine, {"alpha": None, "beta": None}),
    "elu": Function(SCALAR["Elu"], {"alpha": 1.0}),
    "hardsigmoid": Function(SCALAR["HardSigmoid"], {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": Function(SCALAR["LeakyRelu"], {"alpha": 0.01}),
    "scaledtanh": Function(_scaled_tanh, {"alpha": None, "beta": None}),
    "thresholdedrelu": Function(SCALAR["ThresholdedRelu"], {"alpha": None}),
}
"""By name in lower case, as ONNX Runtime compares them; a default that it does not share with ONNX is none."""

DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
"""The functions of one direction of a node that names none, by operator."""


@dataclass(frozen=True)
class Chosen:
    """A function with its parameters; equal ones compute the same."""

    name: str
    parameters: tuple[tuple[str, float | None], ...]

    def __call__(self, x: Expr) -> Expr:
        """Its value for one element."""
        return FUNCTIONS[self.name].compute(ir.node("", [], dict(self.parameters)), [x])


def functions_of(node: ir.Node) -> list[tuple[Activation, ...]]:
    """The functions of each direction."""
    chosen, count = _chosen(node), len(DEFAULTS[node.op_type])
    return [tuple(chosen[first : first + count]) for first in range(0, len(chosen), count)]


def why_no_functions(node: ir.Node) -> str | None:
    """What is wrong with the functions of a node, or None."""
    names, expected = _names(node), len(DEFAULTS[node.op_type]) * _directions(node)
    if len(names) != expected:
        return f"{len(names)} activations, expected {expected}"
    unknown = [name for name in names if name.lower() not in FUNCTIONS]
    if unknown:
        return f"activation '{unknown[0]}'"
    lacking = [(each.name, key) for each in _chosen(node) for key, value in each.parameters if value is None]
    return "activation '{}' without its {}".format(*lacking[0]) if lacking else None


def _directions(node: ir.Node) -> int:
    return 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1


def _names(node: ir.Node) -> Sequence[str]:
    return node.attributes.get_strings("activations", DEFAULTS[node.op_type] * _directions(node))


def _chosen(node: ir.Node) -> list[Chosen]:
    """All functions in order; each takes the next of `activation_alpha` and `_beta`, where it has such a parameter."""
    given = {name: iter(node.attributes.get_floats(f"activation_{name}", ())) for name in ("alpha", "beta")}
    known = [(name.lower(), FUNCTIONS[name.lower()].parameters) for name in _names(node)]
    return [Chosen(name, tuple((p, next(given[p], default)) for p, default in each.items())) for name, each in known]
