"""Contracts of operators that pick, place, cut or repeat elements."""

from __future__ import annotations

from collections.abc import Sequence

from graphprune.passes.contracts.rules import (
    Count,
    Extents,
    Operands,
    Rule,
    along,
    attribute,
    extent,
    has_one_element,
    is_axis,
    is_shape,
    is_within,
    like,
    text,
    vector,
)


def _off_axis(operands: Operands) -> Extents | None:
    """The extents of the data but for the one that indices may exceed."""
    shape = operands.shape(0)
    if not shape:
        return shape
    axis = operands.integer("axis", 0) % len(shape)
    return [None if a == axis else n for a, n in enumerate(shape)]


def _tuples(operands: Operands) -> Extents | None:
    """ScatterND's updates: a slice of the data for each tuple of indices."""
    data, indices = operands.shape(0), operands.shape(1)
    depth = operands.extent(1, -1)
    return None if data is None or indices is None or depth is None else [*indices[:-1], *data[depth:]]


def _depth(batch: Count) -> Rule:
    """A tuple of indices is no longer than the data has axes, and its batch axes are those of the data."""

    def rule(operands: Operands) -> str | None:
        data, indices, depth = operands.shape(0), operands.shape(1), operands.extent(1, -1)
        shared = batch(operands) or 0
        if data is None or indices is None:
            return None
        if depth is not None and not 1 <= depth <= len(data) - shared:
            return f"{operands.name(1)} has tuples of {depth} indices, expected 1 to {len(data) - shared}"
        pairs = zip(data[:shared], indices[:shared], strict=False)
        differs = any(None not in pair and pair[0] != pair[1] for pair in pairs)
        return f"{operands.name(1)} and {operands.name(0)} differ in their batch axes" if differs else None

    return rule


def _picked(operands: Operands) -> str | None:
    """A single tuple of GatherND picks an element, of whose shape onnx says nothing: it takes what is declared."""
    data, indices, depth, found = operands.shape(0), operands.shape(1), operands.extent(1, -1), operands.output()
    if data is None or indices is None or depth is None or found is None:
        return None
    wanted = [*indices[:-1], *data[operands.integer("batch_dims", 0) + depth :]]
    return None if len(found) == len(wanted) else f"its output is {text(found)}, expected {text(wanted)}"


def _off_sequence(operands: Operands) -> Extents | None:
    shape = operands.shape(0)
    axis = operands.integer("axis", -2) % max(len(shape or ()), 1)
    return None if shape is None else [n if a != axis else operands.extent(1, axis) for a, n in enumerate(shape)]


def _pads(operands: Operands) -> str | None:
    """Pad cuts no more than there is, and repeats nothing of an axis without elements."""
    shape, pads = operands.shape(0), operands.known(1)
    if shape is None or pads is None:
        return None
    axes = operands.known(3) or list(range(len(shape)))
    if len(pads) != 2 * len(axes):
        return f"{operands.name(1)} has {len(pads)} elements, expected {2 * len(axes)}"
    repeats = operands.node.attributes.get_string("mode", "constant") != "constant"
    for before, after, axis in zip(pads, pads[len(axes) :], axes, strict=False):
        left = (operands.extent(0, axis) or 0) + min(before, 0) + min(after, 0)
        if operands.extent(0, axis) is not None and (left < 0 or (repeats and left == 0)):
            return f"pads of {before} and {after} leave nothing of axis {axis}, which has {operands.extent(0, axis)}"
    return None


def _sequence_axes(operands: Operands) -> str | None:
    axes = [operands.integer("batch_axis", 1), operands.integer("time_axis", 0)]
    return None if sorted(axes) == [0, 1] else f"batch_axis and time_axis are {axes}, expected 0 and 1 in some order"


def _known_axis(operands: Operands) -> str | None:
    """CumSum: the axis is an input."""
    shape, known = operands.shape(0), operands.known(1)
    outside = shape is not None and known and not -len(shape) <= known[0] < len(shape)
    return f"axis is {known[0]}, which {text(shape)} does not have" if outside and known else None


def _same_lengths(*indices: int) -> Rule:
    """These inputs, where they are given, are as long as the first."""

    def rule(operands: Operands) -> str | None:
        shapes = [is_shape(index, vector(extent(indices[0], 0))) for index in indices[1:]]
        return next((found for shape in shapes if (found := shape(operands)) is not None), None)

    return rule


INDEXING: dict[str, Sequence[Rule]] = {
    "GatherElements": (
        is_axis("axis", 0),
        is_within(1, _off_axis),
    ),
    **dict.fromkeys(
        ("Scatter", "ScatterElements"), (is_axis("axis", 0), is_within(1, _off_axis), is_shape(2, like(1)))
    ),
    "GatherND": (_depth(attribute("batch_dims", 0)), _picked),
    "ScatterND": (_depth(lambda _: 0), is_shape(2, _tuples)),
    "TensorScatter": (
        is_axis("axis", -2),
        is_within(1, like(0)),
        is_shape(1, _off_sequence),
        is_shape(2, vector(extent(0, 0))),
    ),
    "ReverseSequence": (
        _sequence_axes,
        is_shape(1, vector(along(0, "batch_axis", 1))),
    ),
    "OneHot": (has_one_element(1),),
    "Pad": (_pads, has_one_element(2)),
    "Tile": (is_shape(1, lambda o: None if o.shape(0) is None else [len(o.shape(0) or ())]),),
    "Slice": (_same_lengths(1, 2, 3, 4),),
    **dict.fromkeys(("CumSum", "CumProd"), (has_one_element(1), _known_axis)),
}
"""By operator of ONNX."""
