"""Operators that select, concatenate or pad along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import join
from graphprune.analysis.channels.rules.elementwise import Rule, same_or_unknown
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, Factor, State


def concat(site: Site) -> list[State]:
    """`Concat`: channels along the axis follow each other; along other axes those of all operands are the same."""
    operands = [site.input(index) for index in range(len(site.inputs))]
    extents = site.output()
    axis = site.axis(0, len(extents))
    constant = all(operand.is_constant for operand in operands)
    for operand in operands if not constant else []:
        site.mark(operand, Role.CARRIER)
    along = [next((factor for factor in state.factors if axis in factor.axes), None) for state in operands]
    across = [
        State(_one_at(state.extents, axis)).with_factors(f for f in state.factors if axis not in f.axes)
        for state in operands
    ]
    others = {place for factor in along if factor is not None for place in factor.axes} - {axis}
    if any(factor is None or not others <= set(factor.axes) for factor in along if others):
        raise CannotFollowError("GP375", f"joins channels that lie along axes {sorted(others)} too")
    factors = list(join(site, across, same_or_unknown).factors)
    if any(along):
        factors.append(_chained(site, operands, along, axis))
    return [State(extents, tuple(factors), constant)]


def _one_at(extents: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return tuple(1 if place == axis else extent for place, extent in enumerate(extents))


def _chained(site: Site, operands: Sequence[State], along: Sequence[Factor | None], axis: int) -> Factor:
    parts = [
        factor if factor is not None else _fixed(site, state, axis)
        for state, factor in zip(operands, along, strict=True)
    ]
    shapes = [_one_at(part.labels.shape, axis) for part in parts]
    wide = np.broadcast_shapes(*(tuple(extent or 1 for extent in shape) for shape in shapes))

    def chain(arrays: list[np.ndarray]) -> np.ndarray:
        sized = [(*wide[:axis], array.shape[axis], *wide[axis + 1 :]) for array in arrays]
        return np.concatenate([np.broadcast_to(a, s) for a, s in zip(arrays, sized, strict=True)], axis)

    blame = next((part.blame for part in parts if part.blame is not None), None)
    return Factor(chain([part.labels for part in parts]), chain([part.at for part in parts]), blame)


def _fixed(site: Site, state: State, axis: int) -> Factor:
    """Unknowns that stand for values whose channels cannot be removed."""
    extent = state.extents[axis]
    if extent is None:
        raise CannotFollowError("GP372", "joins channels with an open dimension")
    shape = [extent if place == axis else 1 for place in range(state.rank)]
    labels = site.equations.unknowns(extent).reshape(shape)
    fixed = Factor(labels, np.full(shape, UNKNOWN))
    site.block(fixed, "GP374", "is joined with values whose channels cannot be removed")
    return fixed


def split(site: Site) -> list[State]:
    """`Split`."""
    state = site.input(0)
    axis = site.axis(0, state.rank)
    outputs = [site.output(index) for index in range(len(site.node.outputs))]
    sizes = [extents[axis] for extents in outputs]
    if None in sizes and state.covers(axis):
        raise CannotFollowError("GP372", "has parts of open extent")
    ends = list(itertools.accumulate(size or 0 for size in sizes))

    def part(start: int, stop: int, extents: tuple[int | None, ...]) -> State:
        def cut(a: np.ndarray) -> np.ndarray:
            return a if a.shape[axis] == 1 else a.take(range(start, stop), axis)

        return State(extents, is_constant=state.is_constant).with_factors(_several(site, state.factors, cut))

    return [part(start, stop, extents) for start, stop, extents in zip([0, *ends], ends, outputs, strict=False)]


def slice_(site: Site) -> list[State]:
    """`Slice`: along channels, by constants."""
    state = site.input(0)
    if not state.factors:
        return [State(site.output())]
    starts, ends = (site.integers(name, index) or [] for index, name in ((1, "starts"), (2, "ends")))
    axes = site.integers("axes", 3) or list(range(len(starts)))
    steps = site.integers("steps", 4) or [1] * len(starts)
    cuts = {axis % state.rank: as_slice(*cut) for axis, *cut in zip(axes, starts, ends, steps, strict=True)}

    def cut(a: np.ndarray) -> np.ndarray:
        for axis, each in cuts.items():
            if a.shape[axis] > 1:
                a = a.take(range(a.shape[axis])[each], axis)
        return a

    return [State(site.output(), is_constant=state.is_constant).with_factors(_several(site, state.factors, cut))]


def as_slice(start: int, end: int, step: int) -> slice:
    """Return Python's slice; ONNX ends a downward one at or below -extent - 1 before the first element."""
    return slice(start, None, step) if step < 0 and end < -(1 << 30) else slice(start, end, step)


def gather(site: Site) -> list[State]:
    """`Gather`: along channels, by constants; a table that is looked up carries its columns."""
    data, extents = site.input(0), site.output()
    axis = site.axis(0, data.rank)
    indices = site.input(1)
    if data.covers(axis) and not data.is_constant:
        return [_picked(site, data, axis)]
    for factor in indices.factors:
        site.block(factor, "GP375", "takes them as indices")
    held = site.held(data, [axis], "GP375", "picks rows at run time")
    site.mark(held, Role.CARRIER)
    places = [place if place < axis else place + indices.rank - 1 for place in range(data.rank) if place != axis]
    rest = State(_dropped(held.extents, axis)).with_factors(f.map(lambda a: a.squeeze(axis)) for f in held.factors)
    return [State(extents, rest.placed(places, len(extents)).factors)]


def _dropped(extents: tuple[int | None, ...], axis: int) -> tuple[int | None, ...]:
    return extents[:axis] + extents[axis + 1 :]


def _picked(site: Site, data: State, axis: int) -> State:
    picks = site.integers("indices", 1) or []
    extents = site.input(1).extents
    indices = np.reshape(picks, [extent or 0 for extent in extents])

    def pick(a: np.ndarray) -> np.ndarray:
        return a.take(indices if a.shape[axis] > 1 else np.zeros_like(indices, shape=(1,) * indices.ndim), axis)

    return State(site.output()).with_factors(_several(site, data.factors, pick))


def _several(site: Site, factors: Iterable[Factor], move: Callable[[np.ndarray], np.ndarray]) -> Iterator[Factor]:
    """Pick channels; one picked alone is an axis that cannot be cut any more, and is blocked."""
    for factor in factors:
        moved = factor.map(move).simplified()
        if not moved.axes:
            site.block(moved, "GP375", "picks one channel alone")
        if len(moved.axes) > 1:
            site.equations.grid(moved.labels)
        yield moved


def pad(site: Site) -> list[State]:
    """`Pad`: around positions; what is added must be what a masked channel holds."""
    state = site.input(0)
    pads = site.integers("pads", 1) or []
    axes = [axis % state.rank for axis in (site.integers("axes", 3) or range(len(pads) // 2))]
    padded = [axis for i, axis in enumerate(axes) if pads[i] or pads[i + len(axes)]]
    held = site.held(state, padded, "GP374", "pads channels")
    mode = site.node.attributes.get_string("mode", "constant")
    if mode != "constant":
        return [State(site.output(), held.factors)]
    value = _pad_value(site)
    factors = (f.becomes(np.where(f.at == value, f.at, UNKNOWN), site.node) if padded else f for f in held.factors)
    return [State(site.output(), tuple(factors))]


def _pad_value(site: Site) -> float:
    if site.has(2):
        scalar = site.input(2).scalar
        return UNKNOWN if scalar is None else scalar
    return float(site.node.attributes.get_float("value", 0.0))


RULES: dict[str, Rule] = {
    "Concat": concat,
    "Gather": gather,
    "Pad": pad,
    "Slice": slice_,
    "Split": split,
}
