"""Operators that only move elements: labels move in the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.analysis.channels.rules.elementwise import Rule
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import Extents, Factor, State

Block = tuple[range, range]
"""Axes before and after that hold the same elements."""

_MAX_LABELS = 1 << 24


def transpose(site: Site) -> list[State]:
    """`Transpose`."""
    state = site.input(0)
    perm = site.node.attributes.get_ints("perm", tuple(reversed(range(state.rank))))
    factors = tuple(factor.map(lambda a: a.transpose(perm)) for factor in state.factors)
    return [State(tuple(state.extents[axis] for axis in perm), factors, state.is_constant, state.scalar)]


def reshape(site: Site) -> list[State]:
    """`Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`: axes that are split keep channels that form whole slices."""
    state, target = site.input(0), site.output()
    return [regrouped(site, state, target, matching_axes(state.extents, target))]


def regrouped(site: Site, state: State, target: Extents, blocks: Sequence[Block]) -> State:
    """Return a value in another shape, whose runs of axes hold the same elements as those of the old one."""
    factors: list[Factor] = []
    for factor in state.factors:
        moved = factor.map(lambda a: _reshaped(a, blocks, state.extents, target)).simplified()
        if not moved.axes:
            site.block(factor, "GP375", "has one channel alone, many times")
            continue
        if any(axis in other.axes for axis in moved.axes for other in factors):
            site.block(factor, "GP374", "merges the axis with one that other channels lie along")
            continue
        for _, after in blocks:
            if sum(axis in moved.axes for axis in after) > 1:
                site.equations.grid(moved.labels)
        factors.append(moved)
    return State(target, tuple(factors), state.is_constant, state.scalar)


def matching_axes(source: Extents, target: Extents) -> list[Block]:
    """Cut two shapes of one value into runs of axes that hold the same elements, from the last axis on.

    What is left when an open dimension is met is one run.
    """
    blocks: list[Block] = []
    i, j = len(source), len(target)
    while i and j:
        p, q = i - 1, j - 1
        one, other = source[p], target[q]
        while one is not None and other is not None and one != other and (p if one < other else q):
            if one < other:
                p -= 1
                one = _times(one, source[p])
            else:
                q -= 1
                other = _times(other, target[q])
        if one is None or one != other:
            break
        blocks.insert(0, (range(p, i), range(q, j)))
        i, j = p, q
    return [(range(i), range(j)), *blocks]


def _times(extent: int, other: int | None) -> int | None:
    return None if other is None else extent * other


def _reshaped(array: npt.NDArray[Any], blocks: Sequence[Block], source: Extents, target: Extents) -> npt.NDArray[Any]:
    wide: list[int] = []
    new: list[int] = []
    for before, after in blocks:
        if all(array.shape[axis] == 1 for axis in before):
            wide += [1] * len(before)
            new += [1] * len(after)
        else:
            wide += _static(source, before)
            new += _static(target, after)
    if math.prod(wide) != math.prod(new) or math.prod(wide) > _MAX_LABELS:
        raise CannotFollowError("GP375", f"reshapes {list(source)} to {list(target)}")
    return np.broadcast_to(array, wide).reshape(new)


def _static(extents: Extents, axes: range) -> list[int]:
    found = [extents[axis] for axis in axes]
    if None in found:
        raise CannotFollowError("GP372", "reshapes channels together with an open dimension")
    return [extent for extent in found if extent is not None]


def expand(site: Site) -> list[State]:
    """`Expand`: channels keep their extent."""
    state, target = site.input(0), site.output()
    return [State(target, state.aligned(len(target)).factors)]


def tile(site: Site) -> list[State]:
    """`Tile`: repeated channels are the same channels."""
    state = site.input(0)
    repeats = site.integers("repeats", 1) or []

    def tiled(factor: Factor) -> Factor:
        counts = [count if axis in factor.axes else 1 for axis, count in enumerate(repeats)]
        return factor.map(lambda a: np.tile(a, counts))

    return [State(site.output(), tuple(tiled(factor) for factor in state.factors))]


def depth_to_space(site: Site) -> list[State]:
    """`DepthToSpace`: the channels that share a place become one."""
    state, size = site.input(0), site.node.attributes.get_int("blocksize", 1)
    is_depth_first = site.node.attributes.get_string("mode", "DCR") == "DCR"
    area = size * size
    factors = []
    for factor in site.held(state, [0, 2, 3], "GP374", "mixes positions").factors:
        grid = factor.map(lambda a: a.reshape((area, -1) if is_depth_first else (-1, area)))
        kept = site.hold(grid, [0 if is_depth_first else 1], "GP374", "leaves one channel")
        factors.append(None if kept is None else kept.map(lambda a: a.reshape(1, -1, 1, 1)))
    return [State(site.output()).with_factors(factors)]


def space_to_depth(site: Site) -> list[State]:
    """`SpaceToDepth`: a channel becomes one a place of the block."""
    state, size = site.input(0), site.node.attributes.get_int("blocksize", 1)
    held = site.held(state, [0, 2, 3], "GP374", "mixes positions")
    is_depth_first = site.node.attributes.get_string("mode", "DCR") == "DCR"

    def spread(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.tile(a, (1, size * size, 1, 1)) if is_depth_first else np.repeat(a, size * size, 1)

    return [State(site.output(), tuple(factor.map(spread) for factor in held.factors))]


RULES: dict[str, Rule] = {
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": reshape,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Squeeze": reshape,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": reshape,
}
