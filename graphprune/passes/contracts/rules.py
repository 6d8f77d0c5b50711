"""What an operator may ask of the extents of its operands: the words in which the table of contracts is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphprune.graph.nodes import describe
from graphprune.passes.rewriting import constant_of

Extent = int | None
"""An extent; None where it is not known."""

Extents = Sequence[Extent]


class Operands:
    """The operands of one node, as far as they are known."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node

    def value(self, index: int) -> ir.Value | None:
        """Input `index`; None where the node does not have it."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def shape(self, index: int) -> Extents | None:
        """The shape of input `index`; None where its rank is not known."""
        return _extents(self.value(index))

    def output(self, index: int = 0) -> Extents | None:
        """The shape of output `index`."""
        return _extents(self.node.outputs[index])

    def extent(self, index: int, axis: int) -> Extent:
        """One extent of input `index`; None also where it has no such axis."""
        shape = self.shape(index) or ()
        return shape[axis] if -len(shape) <= axis < len(shape) else None

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        return self.node.attributes.get_int(name, default)

    def integers(self, name: str) -> list[int]:
        """An attribute; empty where it is absent."""
        return list(self.node.attributes.get_ints(name, []))

    def known(self, index: int) -> list[int] | None:
        """The values of an input of integers, where it is a constant."""
        tensor = constant_of(self.value(index))
        return None if tensor is None else [int(each) for each in tensor.numpy().ravel()]

    def name(self, index: int) -> str:
        """What messages call input `index`."""
        value = self.value(index)
        return f"input '{value.name if value is not None else index}'"


LARGEST = 2**24
"""Of an extent, step or pad of a window: each position of one is a number while a kernel is made."""

Rule = Callable[[Operands], str | None]
"""What is wrong with the operands, or None as far as is known."""

Wanted = Callable[[Operands], Extents | None]
"""The shape that is wanted of an operand; None where it is not known."""


def broken_rule(node: ir.Node, rules: Sequence[Rule]) -> str | None:
    """Return which rule the operands of `node` break, and how, or None."""
    operands = Operands(node)
    complaint = next((found for rule in rules if (found := rule(operands)) is not None), None)
    return None if complaint is None else f"{describe(node)}: {complaint}"


def is_shape(index: int, wanted: Wanted) -> Rule:
    """Input `index` has the shape `wanted`."""
    return _compare(index, wanted, _same, "expected")


def broadcasts_to(index: int, wanted: Wanted) -> Rule:
    """Input `index` is repeated to the shape `wanted`, which it does not enlarge."""
    return _compare(index, wanted, _repeats, "which does not broadcast to")


def is_within(index: int, wanted: Wanted) -> Rule:
    """Input `index` has the rank of `wanted`, and no larger extent."""
    return _compare(index, wanted, _within, "expected at most")


def has_one_element(*indices: int) -> Rule:
    """The inputs are scalars, or hold one element all the same."""

    def rule(operands: Operands) -> str | None:
        for index in indices:
            count = _count(operands.shape(index))
            if count not in (None, 1):
                return f"{operands.name(index)} has {count} elements, expected 1"
        return None

    return rule


def has_one_or(index: int, wanted: Wanted) -> Rule:
    """Input `index` holds one element, or has the shape `wanted`."""
    is_wanted = is_shape(index, wanted)
    return lambda operands: None if _count(operands.shape(index)) == 1 else is_wanted(operands)


def equal(said: str, given: Callable[[Operands], Extent], wanted: Callable[[Operands], Extent]) -> Rule:
    """Two numbers are the same; `said` has a place for each."""

    def rule(operands: Operands) -> str | None:
        have, want = given(operands), wanted(operands)
        return said.format(have, want) if None not in (have, want) and have != want else None

    return rule


def _compare(index: int, wanted: Wanted, fits: Callable[[Extents, Extents], bool], word: str) -> Rule:
    def rule(operands: Operands) -> str | None:
        have = operands.shape(index)
        want = None if have is None else wanted(operands)
        if have is None or want is None or fits(have, want):
            return None
        return f"{operands.name(index)} has shape {text(have)}, {word} {text(want)}"

    return rule


def _same(have: Extents, want: Extents) -> bool:
    return len(have) == len(want) and all(None in (a, b) or a == b for a, b in zip(have, want, strict=True))


def _within(have: Extents, want: Extents) -> bool:
    pairs = zip(have, want, strict=False)
    return len(have) == len(want) and all(a is None or b is None or a <= b for a, b in pairs)


def _repeats(have: Extents, want: Extents) -> bool:
    tail = want[len(want) - len(have) :]
    return len(have) <= len(want) and all(None in (a, b) or a in (1, b) for a, b in zip(have, tail, strict=True))


def _count(shape: Extents | None) -> int | None:
    known = [] if shape is None else [extent for extent in shape if extent is not None]
    return None if shape is None or len(known) < len(shape) else math.prod(known)


def _extents(value: ir.Value | None) -> Extents | None:
    if value is None or value.shape is None:
        return None
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def text(shape: Extents | None) -> str:
    """A shape as messages have it."""
    return "[" + ", ".join("?" if extent is None else str(extent) for extent in shape or ()) + "]"


Count = Callable[[Operands], Extent]


def extent(index: int, axis: int) -> Count:
    """An extent of an operand."""
    return lambda operands: operands.extent(index, axis)


def vector(count: Count) -> Wanted:
    """One axis of that many elements."""
    return lambda operands: [count(operands)]


def like(index: int) -> Wanted:
    """The shape of another operand."""
    return lambda operands: operands.shape(index)


def product(*counts: Count) -> Count:
    """The product of several numbers, as far as all are known."""

    def multiplied(operands: Operands) -> Extent:
        factors = [count(operands) for count in counts]
        known = [factor for factor in factors if factor is not None]
        return math.prod(known) if len(known) == len(factors) else None

    return multiplied


def attribute(name: str, default: int) -> Count:
    """An attribute."""
    return lambda operands: operands.integer(name, default)


def along(index: int, attribute: str, default: int) -> Count:
    """The extent of an operand at the axis that an attribute names."""
    return lambda operands: operands.extent(index, operands.integer(attribute, default))


def is_axis(name: str, default: int) -> Rule:
    """The attribute is an axis of the first input."""

    def rule(operands: Operands) -> str | None:
        shape, axis = operands.shape(0), operands.integer(name, default)
        outside = shape is not None and not -len(shape) <= axis < len(shape)
        return f"{name} is {axis}, which {text(shape)} does not have" if outside else None

    return rule


def are_positive(*names: str) -> Rule:
    """These attributes hold numbers of at least 1, and no more than kernels are made for."""

    def rule(operands: Operands) -> str | None:
        for name in names:
            outside = [each for each in operands.integers(name) if not 1 <= each <= LARGEST]
            if outside:
                return f"{name} has {outside[0]}, expected 1 to {LARGEST}"
        return None

    return rule
