"""`QuantizeLinear` and `DequantizeLinear`: zero becomes the zero point, and the zero point becomes zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphprune.analysis.channels.equations import Role
from graphprune.analysis.channels.joining import Combine, join
from graphprune.analysis.channels.rules.elementwise import Rule, multiplied
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, FloatArray, State
from graphprune.analysis.constants import constant_tensor

_SCALE, _ZERO_POINT = 1, 2


def _quantized(x: FloatArray, _scale: FloatArray, zero_point: FloatArray) -> FloatArray:
    """Of other numbers than zero, rounding is not followed."""
    return np.where(x == 0, zero_point, UNKNOWN)


def _dequantized(x: FloatArray, scale: FloatArray, zero_point: FloatArray) -> FloatArray:
    return multiplied(x - zero_point, scale)


def _by(combine: Combine) -> Rule:
    """A rule for numbers that scales and zero points along an axis belong to: these keep their values."""

    def rule(site: Site) -> list[State]:
        x = site.input(0)
        if site.node.attributes.get_int("block_size", 0):
            raise CannotFollowError("GP375", "has a scale for each block")
        scale = site.holding(_along(site, _SCALE, x.rank), UNKNOWN)
        return [join(site, [x, scale, _zero_point(site, x.rank)], combine)]

    return rule


def _along(site: Site, index: int, rank: int) -> State:
    """Return what there is one of, or one for each index of `axis`."""
    state = site.input(index)
    site.mark(state, Role.COMPANION)
    if state.extents in {(), (1,)}:
        return replace(state, extents=()).aligned(rank)
    return state.placed([site.axis(1, rank)], rank)


def _zero_point(site: Site, rank: int) -> State:
    """Return the zero points with their values, which are read: a mask makes zeros, whatever these are."""
    if not site.has(_ZERO_POINT):
        return State((), is_constant=True, scalar=0.0).aligned(rank)
    state, tensor = _along(site, _ZERO_POINT, rank), constant_tensor(site.node.inputs[_ZERO_POINT])
    if tensor is None:
        return site.holding(state, UNKNOWN)
    values = tensor.numpy().astype(np.float64)
    return state.with_factors(replace(each, at=values.reshape(each.labels.shape)) for each in state.factors)


RULES: dict[str, Rule] = {"DequantizeLinear": _by(_dequantized), "QuantizeLinear": _by(_quantized)}
