"""One random graph of a few nodes, built node by node on values that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from benchmarks.random_graphs.elements import draw
from benchmarks.random_graphs.meaning import divides_by_rest, is_determined, is_exact, jumps
from benchmarks.random_graphs.oracle import Arrays, Operand, OracleError, evaluate

MOST_ELEMENTS = 4_000
"""Of a value."""

EMPTY = 0.05
"""The share of nodes without results that stay."""

CONSTANT = 0.3
"""The share of new operands that are constants of the graph."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        name: In the graph.
        arrays: What it is, then what it is where the nodes before it round a little otherwise.
        is_constant: Whether it is an initializer.
        is_setting: Whether it says what a node does, rather than being data.
    """

    name: str
    arrays: Arrays
    is_constant: bool = False
    is_setting: bool = False

    @property
    def array(self) -> np.ndarray:
        """What it is."""
        return self.arrays[0]


@dataclass
class Draft:
    """A graph that grows; all names start with its own."""

    name: str
    opset: int
    random: np.random.Generator
    inputs: list[Value] = field(default_factory=list)
    constants: list[Value] = field(default_factory=list)
    computed: list[Value] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def values(self) -> list[Value]:
        """All that a further node can read."""
        return [*self.inputs, *self.constants, *self.computed]

    def new(self, dtype: np.dtype, shape: tuple[int, ...]) -> Value:
        """A new random operand, which becomes part of the graph with the node that reads it."""
        return self.given(draw(self.random, dtype, shape), is_constant=self.random.random() < CONSTANT)

    def given(self, array: np.ndarray, *, is_constant: bool, is_setting: bool = False) -> Value:
        """A new operand of these elements."""
        return Value(f"{self.name}_v{self.random.integers(1 << 40)}", (array,), is_constant, is_setting)

    def add(self, operator: str, operands: Sequence[Value | None], attributes: dict[str, Any], outputs: int) -> bool:
        """Add a node if ONNX Runtime takes it and its result is determined; whether it was."""
        name = f"{self.name}_n{len(self.nodes)}"
        names = [value.name if value else "" for value in operands]
        results = [f"{name}_{output}" for output in range(outputs)]
        node = onnx.helper.make_node(operator, names, results, name=name, **attributes)
        given = [value for value in operands if value is not None]
        arrays = [value.array for value in given]
        rounded = [len(value.arrays) > 1 for value in given]
        if not is_determined(node, arrays) or (any(rounded) and jumps(node)):
            return False
        if rounded and rounded[-1] and divides_by_rest(node, arrays[-1]):
            return False
        exact = is_exact(node, [array.dtype for array in arrays])
        read = [Operand(value.name, value.arrays, value.is_setting) for value in given]
        try:
            found = evaluate(node, read, self.opset, self.random, is_exact=exact)
        except OracleError:
            return False
        sizes = [each[0].size for each in found]
        if max(sizes) > MOST_ELEMENTS or (min(sizes) == 0 and self.random.random() > EMPTY):
            return False
        self._accept(node, given, [Value(*each) for each in zip(results, found, strict=True)])
        return True

    def _accept(self, node: onnx.NodeProto, operands: Sequence[Value], results: Sequence[Value]) -> None:
        known = {value.name for value in self.values()}
        for value in operands:
            if value.name not in known:
                known.add(value.name)
                (self.constants if value.is_constant else self.inputs).append(value)
        self.nodes.append(node)
        self.computed += results

    def outputs(self) -> list[Value]:
        """What no node reads, and some of what one does."""
        read = {name for node in self.nodes for name in node.input}
        kept = [value for value in self.computed if value.name not in read or hash_of(value.name) % 4 == 0]
        return kept or self.computed[-1:]


def hash_of(name: str) -> int:
    """A number that depends on the name alone."""
    return sum(name.encode())
