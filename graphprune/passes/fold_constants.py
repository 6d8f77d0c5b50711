"""Compute once what does not depend on the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.graph.nodes import describe
from graphprune.passes.base import Equivalence, Pass, PassOutcome, refuse
from graphprune.passes.bounded_evaluation import Budget
from graphprune.passes.evaluation import CannotEvaluateError, evaluate
from graphprune.passes.randomness import is_random
from graphprune.passes.rewriting import constant_of, replace_by_constants
from graphprune.passes.shape_inference import infer_shapes
from graphprune.passes.structure import subgraphs
from graphprune.stages.stage import Stage

_QUANTIZATION = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
_WEIGHT_OPERATORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MOVES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Turn constants, and what is computed from constants and static shapes alone, into initializers.

    An initializer takes the name of the value it replaces. What an initializer goes through on its way into the weight
    operand of a convolution or matrix product (`Transpose`, `Reshape`, `Cast`, ...) stays, so that weights keep their
    names. Left alone are random and quantization operators, operators with subgraphs, calls of functions and the bodies
    of functions.

    Before::

        g (float[1,2,3] x) => (float[1,6] y) {
            shape = Shape (x)
            first = Constant <value = int64[1] {0}> ()
            batch = Gather (shape, first)
            rest = Constant <value = int64[1] {-1}> ()
            target = Concat <axis = 0> (batch, rest)
            y = Reshape (x, target)
        }

    After::

        g (float[1,2,3] x) => (float[1,6] y) <int64[2] target = {1, -1}> {
            y = Reshape (x, target)
        }

    Refuses: GP221 the operator cannot be evaluated, GP222 the result is larger than `size_limit` bytes and than the
        constants that it is computed from, GP223 the result is an output of the graph. A negative `size_limit` is an
        error, GP224.

    Attributes:
        size_limit: The largest result in bytes. What is no larger than the constants it is computed from (the joined
            weights of a recurrent layer, the normalized one of a convolution), a `ConstantOfShape` that is the weight
            of a convolution or matrix product, and a `Constant` may be of any size.
    """

    name: ClassVar[str] = "fold-constants"
    consumes: ClassVar[frozenset[Stage]] = frozenset(Stage)
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED
    size_limit: int = 1 << 20

    def __post_init__(self) -> None:
        if self.size_limit < 0:
            raise InputError(f"{self.name}: size_limit is {self.size_limit}, expected at least 0", code="GP224")

    def apply(self, model: ir.Model) -> PassOutcome:
        """Fold until nothing is left: each round makes more shapes static."""
        rewrites: list[Rewrite] = []
        budget = Budget.of(model)
        while True:
            infer_shapes(model)
            skips: list[Skip] = []
            weights = _weight_paths(model)
            found = [self._visit(model, node, weights, skips, budget) for node in list(model.graph.all_nodes())]
            rewrites += [rewrite for rewrite in found if rewrite is not None]
            if not any(found):
                return PassOutcome(tuple(rewrites), tuple(skips))

    def _visit(
        self, model: ir.Model, node: ir.Node, weights: set[ir.Node], skips: list[Skip], budget: Budget
    ) -> Rewrite | None:
        if node.graph is None or not _is_constant(node, weights):  # without a graph: dropped a moment ago
            return None
        reason = self._why_not(node, weights)
        if reason is None:
            try:
                return _replace(node, _value_of(model, node, budget))
            except CannotEvaluateError as error:
                reason = ("GP221", str(error))
        skips.append(refuse(reason[0], node, reason[1]))
        return None

    def _why_not(self, node: ir.Node, weights: set[ir.Node]) -> tuple[str, str] | None:
        if any(value.is_graph_output() for value in node.outputs):
            return "GP223", f"{describe(node)} is constant, but its result is an output of the graph"
        size, given = (sum(map(_bytes, values)) for values in (node.outputs, filter(None, node.inputs)))
        if size > max(self.size_limit, given) and node.op_type != "Constant" and node not in weights:
            return "GP222", f"{describe(node)} is constant, but takes {size} bytes, more than {self.size_limit}"
        return None


def _weight_paths(model: ir.Model) -> set[ir.Node]:
    """Return the nodes between an initializer (or a `ConstantOfShape`) and the weight operand that it becomes."""
    found: set[ir.Node] = set()
    for node in model.graph.all_nodes():
        if node.domain == "" and node.op_type in _WEIGHT_OPERATORS:
            for value in node.inputs[:2]:
                found.update(_path_to(value))
    return found


def _path_to(value: ir.Value | None) -> Iterator[ir.Node]:
    while value is not None and (producer := value.producer()) is not None and producer.domain == "":
        if producer.op_type in _MOVES or producer.op_type == "ConstantOfShape":
            yield producer
        if producer.op_type not in _MOVES:
            return
        value = producer.inputs[0]


def _is_constant(node: ir.Node, weights: set[ir.Node]) -> bool:
    if node.domain != "" or node.op_type in _QUANTIZATION or is_random(node) or any(subgraphs(node)):
        return False
    if any(value.dtype == ir.DataType.STRING for value in node.outputs) or "sparse_value" in node.attributes:
        return False
    if node.op_type in {"Shape", "Size"}:
        return _static_dims(node) is not None
    if node in weights and node.op_type != "ConstantOfShape":
        return False
    return all(value is None or constant_of(value) is not None for value in node.inputs)


def _static_dims(node: ir.Node) -> list[int] | None:
    """Return the extents that a `Shape` or `Size` reads, if they are all known."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None:
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", shape.rank())
    dims = list(shape)[start:end]
    return [dim for dim in dims if isinstance(dim, int)] if all(isinstance(dim, int) for dim in dims) else None


def _value_of(model: ir.Model, node: ir.Node, budget: Budget) -> list[ir.TensorProtocol]:
    dims = _static_dims(node) if node.op_type in {"Shape", "Size"} else None
    if dims is None:
        return evaluate(model, node, budget)
    return [ir.tensor(np.array(dims if node.op_type == "Shape" else np.prod(dims, dtype=np.int64), np.int64))]


def _replace(node: ir.Node, tensors: list[ir.TensorProtocol]) -> Rewrite:
    names = ", ".join(replace_by_constants(node, tensors))
    return Rewrite("constant", node.name or names, f"{node.op_type} became initializer '{names}'")


def _bytes(value: ir.Value) -> int:
    """Return the size of `value`, as far as it is known before it is computed."""
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return 0
    return int(np.prod(value.shape.numpy(), dtype=np.int64) * value.dtype.itemsize)
