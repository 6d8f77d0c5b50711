"""Pad and Tile: the result is copied part by part, each a view of the input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphprune.backends.tvm.kernels.elementwise import concat_function
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, static_shape
from graphprune.backends.tvm.operators.views import constant_ints, input_value


@dataclass(frozen=True)
class _Section:
    """A stretch of an output axis: where it starts, how long it is, and which input elements it holds.

    They are `first`, `first + step`, ...; a `step` of 0 repeats one, and `first` of None stands for the fill value.
    """

    start: int
    length: int
    first: int | None
    step: int = 1


def pad(lowering: Lowering, group: Group) -> None:
    """Pad; negative pads cut."""
    node = group.anchor
    x, shape = lowering.view(input_value(node, 0)), static_shape(group.output)
    rank = len(x.shape)
    pads, mode = pads_of(group), node.attributes.get_string("mode", "constant")
    sections = [_sections(n, pads[a], pads[a + rank], mode) for a, n in enumerate(x.shape)]
    value = node.inputs[2] if len(node.inputs) > 2 else None
    fill = lowering.constant(np.zeros((), x.dtype)) if value is None else lowering.view(value)
    fill = replace(fill, shape=(), strides=())
    parts = [_part(x, fill, choice) for choice in itertools.product(*sections)]
    result = View.dense(None, x.dtype, shape, lowering.order(group.output, x))
    places = [_place(result, choice) for choice in itertools.product(*sections)]
    buffer = lowering.call(concat_function(lowering.machine, parts, places), parts, result.size, x.dtype)
    lowering.define(group.output, replace(result, buffer=buffer))


def pads_of(group: Group) -> list[int]:
    """The pads of every axis, all begins and then all ends."""
    node = group.anchor
    rank, given, axes = len(static_shape(group.output)), constant_ints(node, 1) or [], constant_ints(node, 3)
    if axes is None:
        return given
    pads = [0] * 2 * rank
    for i, axis in enumerate(axes):
        pads[axis % rank], pads[axis % rank + rank] = given[i], given[i + len(axes)]
    return pads


def _sections(length: int, before: int, after: int, mode: str) -> list[_Section]:
    """The stretches of a padded axis; with `reflect` and `wrap` as many as the pads need."""
    first, last = max(0, -before), length - max(0, -after)
    output = [*range(-max(before, 0), 0), *range(first, last), *range(length, length + max(after, 0))]
    places: list[int | None] = [_source(i, first, last, mode) for i in output]
    sections: list[_Section] = []
    for start, source in enumerate(places):
        if sections and (longer := _extended(sections[-1], source)) is not None:
            sections[-1] = longer
        else:
            sections.append(_Section(start, 1, source))
    return sections


def _source(i: int, first: int, last: int, mode: str) -> int | None:
    """The input element at place `i` of the padded axis, 0 being the input's start."""
    if first <= i < last:
        return i
    if mode == "edge":
        return min(max(i, first), last - 1)
    if mode == "wrap":
        return first + (i - first) % (last - first)
    if mode == "reflect":
        period = 2 * (last - first - 1)
        place = (i - first) % period if period else 0
        return first + (place if place < last - first else period - place)
    return None


def _extended(section: _Section, source: int | None) -> _Section | None:
    """The section with one element more, if that element continues it."""
    if section.first is None or source is None:
        continues = section.first is None and source is None
        return replace(section, length=section.length + 1) if continues else None
    step = source - section.first if section.length == 1 else section.step
    if step not in (-1, 0, 1) or source != section.first + step * section.length:
        return None
    return replace(section, length=section.length + 1, step=step)


def _part(x: View, fill: View, choice: Sequence[_Section]) -> View:
    """What a block of the output holds."""
    if any(section.first is None for section in choice):
        return fill.broadcast([section.length for section in choice])
    for axis, section in enumerate(choice):
        assert section.first is not None
        x = x.slice(axis, section.first, section.length, section.step)
    return x


def _place(result: View, choice: Sequence[_Section]) -> View:
    for axis, section in enumerate(choice):
        result = result.slice(axis, section.start, section.length)
    return result


def tile(lowering: Lowering, group: Group) -> None:
    """Tile: every axis gets one of stride 0 before it, and the two are merged."""
    x, shape = lowering.view(input_value(group.anchor, 0)), static_shape(group.output)
    repeats = constant_ints(group.anchor, 1) or []
    split = [n for pair in zip(repeats, x.shape, strict=True) for n in pair]
    strides = [s for stride in x.strides for s in (0, stride)]
    repeated = replace(x, shape=tuple(split), strides=tuple(strides))
    lowering.define(group.output, lowering.reshaped(repeated, shape))
