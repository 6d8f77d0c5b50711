"""Computes single operands that depend on constants alone, where the rest of a model is to stay as it is."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from graphprune.passes.bounded_evaluation import Budget
from graphprune.passes.evaluation import CannotEvaluateError, evaluate
from graphprune.passes.randomness import is_random
from graphprune.passes.rewriting import constant_of, replace_by_constants
from graphprune.passes.structure import subgraphs


class Folder:
    """Knows which values of a model's main graph are constant, and makes initializers of those that are asked for."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._budget = Budget.of(model)
        self._computed: set[ir.Value] = set()
        for node in model.graph:
            if _is_computable(node) and all(value is None or self.is_constant(value) for value in node.inputs):
                self._computed.update(node.outputs)

    def is_constant(self, value: ir.Value | None) -> bool:
        """Return whether `value` is an initializer that no caller can override, or computed from such."""
        return value in self._computed or constant_of(value) is not None

    def fold(self, node: ir.Node, index: int) -> ir.TensorProtocol | None:
        """Make an initializer of an operand of `node`, and return its tensor; None where it is none or not computed."""
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None or not self.is_constant(value):
            return None
        try:
            for maker in self._makers(value):
                replace_by_constants(maker, evaluate(self._model, maker, self._budget))
        except CannotEvaluateError:
            return None
        return constant_of(node.inputs[index])

    def _makers(self, value: ir.Value) -> list[ir.Node]:
        """The nodes that `value` is computed by, in the order of the graph."""
        found: set[ir.Node] = set()
        pending = [value]
        while pending:
            node = pending.pop().producer()
            if node is not None and node not in found:
                found.add(node)
                pending += [read for read in node.inputs if read is not None]
        return [node for node in self._model.graph if node in found]


def _is_computable(node: ir.Node) -> bool:
    given: Iterable[ir.Value] = node.outputs
    return not (node.domain or is_random(node) or any(subgraphs(node)) or any(out.is_graph_output() for out in given))
