"""The functions behind packed calls: each decodes its tensors into a dense weight, then runs the ordinary operator.

Those of `Weight` return the weight as the model had it: reshaped, and its axes in order.

Nothing in the bodies fixes a floating-point type. Everything long in them is a matrix: shape inference traces the
elements of integer vectors, which takes seconds a model where they are indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphprune.errors import PreconditionError
from graphprune.graph.functions import DOMAIN, add_function, drop_uncalled
from graphprune.packed.forms import FUNCTIONS, WEIGHT

OLDEST_OPSET = 16
"""The first operator set with `ScatterElements` that adds."""


@dataclass(frozen=True)
class _Operator:
    """How a function ends.

    Attributes:
        attributes: What a call has besides what its form needs.
        before: The inputs before the tensors of the weight.
        extra: The inputs after them.
        text: From `weight` to the output.
    """

    attributes: tuple[str, ...]
    before: tuple[str, ...]
    extra: tuple[str, ...]
    text: str


_OPERATORS = {
    "Conv": _Operator(
        ("strides", "pads", "dilations", "group"),
        ("X",),
        ("B",),
        """Y = Conv <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations, group: int = @group>
             (X, weight, B)""",
    ),
    "MatMul": _Operator(
        (),
        ("X",),
        (),
        """transposed = Transpose <perm = [1, 0]> (weight)
        Y = MatMul (X, transposed)""",
    ),
    "Gemm": _Operator(
        ("alpha", "beta"),
        ("A",),
        ("C",),
        "Y = Gemm <alpha: float = @alpha, beta: float = @beta, transB = 1> (A, weight, C)",
    ),
    WEIGHT: _Operator(
        ("stored_shape", "perm"),
        (),
        (),
        """target = Constant <value_ints: ints = @stored_shape> ()
        stored_weight = Reshape (weight, target)
        Y = Transpose <perm: ints = @perm> (stored_weight)""",
    ),
}


def function_text(name: str, opset: int) -> str:
    """Return the function `name` as ONNX text, for a model of the main domain's version `opset`."""
    form, operator = FUNCTIONS[name]
    end = _OPERATORS[operator]
    attributes = ", ".join(("weight_shape", *form.numbers, *end.attributes))
    inputs = ", ".join((*end.before, *form.tensors, *end.extra))
    head = f"{name} <{attributes}> ({inputs}) => (Y)"
    return f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{head}\n{{{form.decode}  {end.text}\n}}'


def define(model: ir.Model, name: str) -> None:
    """Make sure that `model` has the function `name`.

    Raises:
        PreconditionError: Its operator set is older than the functions need (GP344).
    """
    opset = model.graph.opset_imports.get("", 0)
    if opset < OLDEST_OPSET:
        raise PreconditionError(f"model has operator set {opset}, packed calls need {OLDEST_OPSET}", code="GP344")
    add_function(model, function_text(name, opset))


def drop_unused_functions(model: ir.Model) -> None:
    """Remove the packed functions that no call is left of, and the domain with the last function of all."""
    drop_uncalled(model, FUNCTIONS)
