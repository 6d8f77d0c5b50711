"""Operators that multiply and sum: an axis that is summed over is where channels are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import join
from graphprune.analysis.channels.rules.elementwise import Rule, added, multiplied
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, Factor, State

_SUM = "sums over an axis that other channels share"


def contract(site: Site, operands: Sequence[State], summed: Collection[int]) -> State:
    """Multiply operands in one space of axes and sum over some of these; they stay, with extent 1."""
    product = join(site, operands, multiplied)
    extents = tuple(1 if axis in summed else extent for axis, extent in enumerate(product.extents))
    factors = [summed_over(site, factor, summed) for factor in product.factors]
    return State(extents, is_constant=product.is_constant).with_factors(factors)


def summed_over(site: Site, factor: Factor, axes: Collection[int]) -> Factor | None:
    """Sum over axes: channels end there, unless they are also on other axes."""
    if set(factor.axes) <= set(axes):
        site.read(factor)
        return None
    kept = site.hold(factor, axes, "GP373", _SUM)
    return None if kept is None else kept.becomes(np.where(kept.at == 0, 0.0, UNKNOWN), site.node)


def weighted(
    site: Site, state: State, others: Sequence[State], *, inner: Collection[int], outer: Collection[int]
) -> State:
    """Say what a weight is for: its inner axes read, and are not masked; its outer ones make."""
    if not state.is_constant or all(other.is_constant for other in others):
        return state
    factors = []
    for factor in state.factors:
        reads = not set(factor.axes).isdisjoint(inner)
        makes = not set(factor.axes).isdisjoint(outer)
        role = Role.READER if reads else Role.PRODUCER if makes else Role.CARRIER
        site.equations.mark(factor.labels, role)
        factors.append(replace(factor, at=np.ones(factor.at.shape)) if reads else factor)
    return replace(state, factors=tuple(factors))


def _product(site: Site, left: State, right: State) -> State:
    """Multiply [..., M, K] by [..., K, N]; operands of rank 1 are a row and a column."""
    rank = max(left.rank, right.rank, 2) + 1
    row, column, inner = rank - 3, rank - 2, rank - 1
    placed = [
        left.placed([*range(rank - 1 - left.rank, row), *([row] if left.rank > 1 else []), inner], rank),
        right.placed([*range(rank - 1 - right.rank, row), inner, *([column] if right.rank > 1 else [])], rank),
    ]
    operands = [
        weighted(site, placed[0], [placed[1]], inner=[inner], outer=[row]),
        weighted(site, placed[1], [placed[0]], inner=[inner], outer=[column]),
    ]
    dropped = [inner, *([row] if left.rank == 1 else []), *([column] if right.rank == 1 else [])]
    return without_axes(contract(site, operands, [inner]), dropped)


def without_axes(state: State, axes: Sequence[int]) -> State:
    """Remove axes of extent 1."""
    extents = tuple(extent for axis, extent in enumerate(state.extents) if axis not in axes)
    return replace(
        state, extents=extents, factors=tuple(each.map(lambda a: a.squeeze(tuple(axes))) for each in state.factors)
    )


def matmul(site: Site) -> list[State]:
    """`MatMul`: also of two activations, where channels along the axes of a batch (heads) pass."""
    return [_product(site, site.input(0), site.input(1))]


def gemm(site: Site) -> list[State]:
    """`Gemm`: a product and a bias."""
    sides = []
    for index, name in enumerate(("transA", "transB")):
        state = site.input(index)
        sides.append(state.placed([1, 0], 2) if site.node.attributes.get_int(name, 0) else state)
    return [_biased(site, _product(site, *sides), 2)]


def _biased(site: Site, state: State, index: int, axis: int | None = None) -> State:
    if not site.has(index):
        return state
    bias = site.input(index)
    site.mark(bias, Role.CARRIER)
    bias = bias.aligned(state.rank) if axis is None else bias.placed([axis], state.rank)
    return join(site, [state, bias], added)


def convolution(site: Site) -> list[State]:
    """`Conv`: weights [outputs, inputs of a group, *kernel]."""
    return _convolved(site, output_axis=0, input_axis=1)


def transposed_convolution(site: Site) -> list[State]:
    """`ConvTranspose`: weights [inputs, outputs of a group, *kernel]."""
    return _convolved(site, output_axis=1, input_axis=0)


def _convolved(site: Site, output_axis: int, input_axis: int) -> list[State]:
    x, weight, extents = site.input(0), site.input(1), site.output()
    groups = site.node.attributes.get_int("group", 1)
    channels, outputs = x.extents[1], extents[1]
    if channels is None or outputs is None or channels % groups or outputs % groups:
        raise CannotFollowError("GP372", f"has {channels} channels for {groups} groups and {outputs} outputs")
    (value,) = _vectors(site, x, 1)
    reads, makes = _vectors(site, weight, input_axis, output_axis)
    if groups == 1:
        made = _dense(site, value, reads, makes)
    elif groups == channels or groups > max(channels, outputs) // groups:
        made = _whole_groups(site, value, (reads, makes)[input_axis], (groups, channels // groups, outputs // groups))
        site.block((makes, reads)[input_axis], "GP374", "has groups that are removed as a whole")
    else:
        made = _within_groups(site, value, reads, makes, groups)
    if made is not None:  # rows of zeros make zeros, whatever they read
        made = made.becomes(np.where(made.at == 0, 0.0, UNKNOWN), site.node)
    placed = None if made is None else made.map(lambda a: a.reshape(1, -1, *[1] * (len(extents) - 2)))
    return [_biased(site, State(extents).with_factors([placed]), 2, axis=1)]


def _vectors(site: Site, state: State, *axes: int) -> list[Factor | None]:
    """Return the channels along each of these axes; all other axes are held, and so are channels along several."""
    others = [other for other in range(state.rank) if other not in axes]
    held = site.held(state, others, "GP374", "mixes what lies along other axes").factors
    along = [next((factor for factor in held if factor.axes == (axis,)), None) for axis in axes]
    for factor in held:
        if len(factor.axes) > 1:
            site.block(factor, "GP374", "reads channels that lie along several axes")
    return [None if factor is None else factor.map(lambda a: a.reshape(-1)) for factor in along]


def _meet(site: Site, one: Factor | None, other: Factor | None) -> Factor | None:
    """Equate two vectors of channels; where one of them is fixed, the other is blocked."""
    if one is None or other is None:
        for factor in (one, other):
            site.block(factor, "GP374", "reads a value whose channels cannot be removed")
        return None
    site.equations.same(one.labels, other.labels)
    return one


def _dense(site: Site, value: Factor | None, reads: Factor | None, makes: Factor | None) -> Factor | None:
    _mark(site, reads, Role.READER)
    _mark(site, makes, Role.PRODUCER)
    met = _meet(site, value, reads)
    if met is not None:
        site.read(met)
    return makes


def _within_groups(
    site: Site, value: Factor | None, reads: Factor | None, makes: Factor | None, groups: int
) -> Factor | None:
    """Few large groups keep their number: the channels at one place of each group are removed together."""
    channels = site.input(0).extents[1]

    def tied(factor: Factor | None) -> Factor | None:
        if factor is None or factor.labels.size != channels:
            return factor  # a weight that already counts the channels of one group
        grid = site.hold(factor.map(lambda a: a.reshape(groups, -1)), [0], "GP374", "has groups of one channel")
        return None if grid is None else grid.map(lambda a: a.reshape(-1))

    _mark(site, reads, Role.READER)
    _mark(site, makes, Role.PRODUCER)
    met = _meet(site, tied(value), tied(reads))
    if met is not None:
        site.read(met)
    if makes is None:
        return None
    outputs = site.output()[1]
    wide = makes if makes.labels.size == outputs else makes.map(lambda a: np.tile(a, groups))
    tied_outputs = site.hold(wide.map(lambda a: a.reshape(groups, -1)), [0], "GP374", "has groups of one channel")
    return None if tied_outputs is None else wide


def _whole_groups(
    site: Site, value: Factor | None, weight: Factor | None, sizes: tuple[int, int, int]
) -> Factor | None:
    """Many small groups, as in a depthwise convolution: a group is removed with its inputs and its outputs."""
    groups, inputs, outputs = sizes
    whole = []
    for factor in (value, weight):
        grid = None if factor is None else factor.map(lambda a: a.reshape(groups, -1))
        whole.append(site.hold(grid, [1], "GP374", "has one group"))
    _mark(site, weight, Role.CARRIER if inputs == 1 else Role.PRODUCER)
    _meet(site, *whole)
    read, made = whole
    if read is None or made is None:
        return None
    at = np.where((read.at == 0) | (made.at == 0), 0.0, UNKNOWN)
    return made.becomes(at, site.node).map(lambda a: np.repeat(a.reshape(-1), outputs))


def _mark(site: Site, factor: Factor | None, role: Role) -> None:
    if factor is not None and site.input(1).is_constant:
        site.equations.mark(factor.labels, role)


RULES: dict[str, Rule] = {
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "Gemm": gemm,
    "MatMul": matmul,
}
