"""Operators that scale by statistics: over positions they pass a channel on; over channels they count zeros too."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import join
from graphprune.analysis.channels.rules.elementwise import Rule
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, Factor, FloatArray, State
from graphprune.analysis.constants import constant_tensor

_NORMALIZED = "normalizes over an axis that channels lie along"


def _affine(x: FloatArray, scale: FloatArray, shift: FloatArray) -> FloatArray:
    """Zeros stay zeros when they are normalized, and a scale of zero makes them; what is left is the shift."""
    return np.where((scale == 0) | (x == 0), shift, UNKNOWN)


def _scaled(site: Site, x: State) -> State:
    """Apply a scale and a shift along axis 1."""
    operands = [x]
    for index in (1, 2):
        site.mark(site.input(index), Role.CARRIER)
        operands.append(site.input(index).placed([1], x.rank))
    return join(site, operands, _affine)


def batch_normalization(site: Site) -> list[State]:
    """`BatchNormalization`: scale and shift are masked, mean and variance keep their values."""
    if any(value.uses() for value in site.node.outputs[1:]):
        raise CannotFollowError("GP375", "gives its statistics to other nodes")
    x, epsilon = site.input(0), float(site.node.attributes.get_float("epsilon", 1e-5))
    roles = (Role.CARRIER, Role.CARRIER, Role.COMPANION, Role.COMPANION)
    operands = [x]
    for index, role in enumerate(roles, 1):
        state = site.input(index)
        site.mark(state, role)
        kept = site.holding(state, UNKNOWN) if role is Role.COMPANION else state
        operands.append(kept.placed([1], x.rank))

    def normalized(
        x: FloatArray, scale: FloatArray, shift: FloatArray, mean: FloatArray, variance: FloatArray
    ) -> FloatArray:
        return np.where(scale == 0, shift, (x - mean) / np.sqrt(variance + epsilon) * scale + shift)

    return [join(site, operands, normalized), *(State(()) for _ in site.node.outputs[1:])]


def instance_normalization(site: Site) -> list[State]:
    """`InstanceNormalization`: statistics over the positions of one channel."""
    x = site.input(0)
    held = site.held(x, range(2, x.rank), "GP373", _NORMALIZED)
    return [_scaled(site, held)]


def group_normalization(site: Site) -> list[State]:
    """`GroupNormalization`: the channels of a group share statistics, so that only whole groups could go."""
    x, groups = site.input(0), site.node.attributes.get_int("num_groups", 1)
    if site.input(1).extents[0] != x.extents[1]:
        raise CannotFollowError("GP375", f"has {site.input(1).extents[0]} scales for {x.extents[1]} channels")
    for factor in site.held(x, range(2, x.rank), "GP373", _NORMALIZED).factors:
        if factor.axes == (1,):
            site.hold(factor.map(lambda a: a.reshape(groups, -1)), [1], "GP373", _NORMALIZED)
        else:
            site.block(factor, "GP373", _NORMALIZED)
    return [_scaled(site, x)]


def layer_normalization(site: Site) -> list[State]:
    """`LayerNormalization`, `RMSNormalization`: statistics over the last axes, in which zeros can still be counted."""
    x = site.input(0)
    axes = range(site.axis(-1, x.rank), x.rank)
    operands = [x.with_factors(_counted(site, factor, axes) for factor in x.factors)]
    for index in (1, 2):
        state = site.input(index) if site.has(index) else State((), is_constant=True, scalar=0.0)
        site.mark(state, Role.CARRIER)
        operands.append(state.aligned(x.rank))
    found = join(site, operands, _affine)
    statistics = [State(site.output(index)) for index in range(1, len(site.node.outputs))]
    return [found, *statistics]


def _counted(site: Site, factor: Factor, axes: Collection[int]) -> Factor | None:
    """Return channels behind statistics over `axes`: those along one of these have to be zero in front."""
    parameters = [value for value in site.node.inputs[1:] if value is not None]
    if len(factor.axes) > 1 or factor.axes[0] not in axes or None in map(constant_tensor, parameters):
        return site.hold(factor, axes, "GP373", _NORMALIZED)
    site.read(factor)
    zero_stays = site.node.op_type == "RMSNormalization"
    return factor.becomes(np.where((factor.at == 0) & zero_stays, 0.0, UNKNOWN), site.node)


def _over(axes: Iterable[int], site: Site, *, zero_stays: bool = False) -> list[State]:
    held = site.held(site.input(0), axes, "GP373", _NORMALIZED)
    factors = (
        factor.becomes(np.where((factor.at == 0) & zero_stays, 0.0, UNKNOWN), site.node) for factor in held.factors
    )
    return [State(site.output(index)).with_factors(factors if index == 0 else ()) for index in _outputs(site)]


def _outputs(site: Site) -> range:
    return range(len(site.node.outputs))


def softmax(site: Site) -> list[State]:
    """`Softmax` and its kin: before opset 13 over all axes from `axis` on."""
    rank, last = site.input(0).rank, 13
    if site.opset >= last:
        return _over([site.axis(-1, rank)], site)
    return _over(range(site.axis(1, rank), rank), site)


def cumulative_sum(site: Site) -> list[State]:
    """`CumSum`."""
    axes = site.integers("axis", 1) or []
    return _over([axis % site.input(0).rank for axis in axes], site, zero_stays=True)


RULES: dict[str, Rule] = {
    "BatchNormalization": batch_normalization,
    "CumSum": cumulative_sum,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LRN": lambda site: _over([1], site, zero_stays=True),
    "LogSoftmax": softmax,
    "LpNormalization": lambda site: _over([site.axis(-1, site.input(0).rank)], site),
    "RMSNormalization": layer_normalization,
    "Softmax": softmax,
}
