"""Names that nothing in a model has yet."""

from __future__ import annotations

import itertools

import onnx_ir as ir


class FreshNames:
    """Hands out names of values that are free in the main graph and everything under it."""

    def __init__(self, model: ir.Model) -> None:
        self._taken = {
            value.name for graph in model.graphs() for value in (*graph.inputs, *graph.initializers.values())
        }
        self._taken |= {value.name for graph in model.graphs() for node in graph for value in node.outputs}

    def take(self, name: str) -> str:
        """Return `name`, or `name_1`, `name_2`, ... where it is taken; nobody gets it again."""
        candidates = itertools.chain([name], (f"{name}_{index}" for index in itertools.count(1)))
        free = next(candidate for candidate in candidates if candidate not in self._taken)
        self._taken.add(free)
        return free
