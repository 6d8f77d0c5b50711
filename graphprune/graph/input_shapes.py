"""Sets of input shapes, as users write them: by input, its shape or several."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from graphprune.errors import InputError

Shape = tuple[int, ...]
InputShapes = Mapping[str, "Sequence[int] | Sequence[Sequence[int]]"]
"""For an input's name, its shape, or several."""


def shape_sets(shapes: InputShapes) -> list[dict[str, Shape]]:
    """The sets of shapes that are asked for: the first of each input, the second of each, and so on.

    An input with one shape has it in every set.

    Raises:
        InputError: two inputs have several shapes, but not as many, or a set occurs twice.
    """
    listed = {name: _listed(given) for name, given in shapes.items()}
    counts = {name: len(several) for name, several in listed.items() if len(several) > 1}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
        raise InputError(f"as many shapes are needed of each input that has several, found {told}", code="GP538")
    count = next(iter(counts.values()), 1)
    sets = [{name: several[k % len(several)] for name, several in listed.items()} for k in range(count)]
    if any(one == other for one, other in itertools.combinations(sets, 2)):
        raise InputError("input shapes: a set of shapes is given twice", code="GP538")
    return sets


def one_set(shapes: InputShapes) -> dict[str, Shape]:
    """The set of shapes, where there must be one.

    Raises:
        InputError: there are several.
    """
    sets = shape_sets(shapes)
    if len(sets) > 1:
        raise InputError(f"{len(sets)} sets of input shapes are given, expected one", code="GP538")
    return sets[0]


def _listed(given: Sequence[int] | Sequence[Sequence[int]]) -> list[Shape]:
    several = [tuple(shape) for shape in given if not isinstance(shape, int)]
    return several or [tuple(extent for extent in given if isinstance(extent, int))]
