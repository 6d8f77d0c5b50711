"""Element-wise combination of values under broadcasting: channels along the same axes become one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from graphprune.analysis.channels.site import Site
from graphprune.analysis.channels.state import Factor, FloatArray, State

Combine = Callable[..., FloatArray]
"""From the masked values of the operands to that of the result; NaN is unknown."""

_Entry = tuple[int, Factor]  # which operand, and its channels along some axes

_FIXED = "GP374"


def join(site: Site, operands: Sequence[State], combine: Combine) -> State:
    """Combine values of equal rank, element by element."""
    entries = _aligned(site, operands)
    bundles: dict[tuple[int, ...], dict[int, Factor]] = {}
    for operand, factor in entries:
        bundles.setdefault(factor.axes, {})[operand] = factor
    factors = []
    for bundle in bundles.values():
        first, *others = bundle.values()
        for other in others:
            site.equations.same(first.labels, other.labels)
        at = combine(*(bundle[i].at if i in bundle else state.known(first) for i, state in enumerate(operands)))
        blame = next((factor.blame for factor in bundle.values() if factor.blame is not None), None)
        factors.append(Factor(first.labels, first.at, blame).becomes(at, site.node))
    extents = tuple(_broadcast(each) for each in zip(*(state.extents for state in operands), strict=True))
    scalars = [state.scalar for state in operands]
    known = None if None in scalars else combine(*(np.array(scalar, np.float64) for scalar in scalars))
    scalar = None if known is None or not np.isfinite(known) else float(known)
    return State(extents, tuple(factors), all(state.is_constant for state in operands), scalar)


def _aligned(site: Site, operands: Sequence[State]) -> list[_Entry]:
    """Hold what cannot be cut, until channels of different operands lie along the same axes or along none in common."""
    entries: list[_Entry] = [(i, factor) for i, state in enumerate(operands) for factor in state.factors]
    while True:
        changed = _hold_fixed(site, operands, entries)
        if changed is None:
            changed = _hold_different(site, entries)
        if changed is None:
            return entries
        entries = changed


def _hold_fixed(site: Site, operands: Sequence[State], entries: list[_Entry]) -> list[_Entry] | None:
    """Hold the first axis along which another operand has values but no channels."""
    for position, (_, factor) in enumerate(entries):
        for axis, (i, state) in itertools.product(factor.axes, enumerate(operands)):
            if state.extents[axis] != 1 and not any(axis in other.axes for j, other in entries if j == i):
                kept = site.hold(factor, [axis], _FIXED, f"meets operand {i}, whose channels cannot be removed")
                return _replaced(entries, {position: kept})
    return None


def _hold_different(site: Site, entries: list[_Entry]) -> list[_Entry] | None:
    """Make the first two overlapping factors the same along what they share: the outermost axis if they share that."""
    for (p, (_, one)), (q, (_, other)) in itertools.combinations(enumerate(entries), 2):
        common = set(one.axes) & set(other.axes)
        if not common or one.axes == other.axes:
            continue
        outermost = min({*one.axes, *other.axes})
        kept = {}
        for position, factor in ((p, one), (q, other)):
            held = set(factor.axes) - common if outermost in common else common
            kept[position] = site.hold(factor, held, _FIXED, "meets channels along other axes")
        return _replaced(entries, kept)
    return None


def _replaced(entries: list[_Entry], changes: dict[int, Factor | None]) -> list[_Entry]:
    found = [(i, changes.get(position, factor)) for position, (i, factor) in enumerate(entries)]
    return [(i, factor) for i, factor in found if factor is not None]


def _broadcast(extents: tuple[int | None, ...]) -> int | None:
    wide = [extent for extent in extents if extent != 1]
    return wide[0] if wide else 1
