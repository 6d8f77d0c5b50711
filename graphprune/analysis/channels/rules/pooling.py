"""Operators that combine positions within a channel, so that channels pass unchanged."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.rules.elementwise import Rule, mapped
from graphprune.analysis.channels.rules.linear import summed_over, without_axes
from graphprune.analysis.channels.site import CannotFollowError, Site
from graphprune.analysis.channels.state import UNKNOWN, Factor, FloatArray, State

_WINDOW = "pools over positions that channels lie along"


def _zero_stays(at: FloatArray) -> FloatArray:
    return np.where(at == 0, 0.0, UNKNOWN)


def _window(site: Site) -> list[State]:
    held = site.held(site.input(0), range(2, site.input(0).rank), "GP373", _WINDOW)
    pooled = mapped(site, held, np.array if _keeps_constants(site.node) else _zero_stays).factors
    outputs = [State(site.output(), pooled)]
    for index in range(1, len(site.node.outputs)):  # the indices of MaxPool count elements of all channels
        for factor in held.factors if site.node.outputs[index].uses() else ():
            site.block(factor, "GP375", "gives the places of maxima")
        outputs.append(State(site.output(index)))
    return outputs


def _keeps_constants(node: ir.Node) -> bool:
    """Whether a window over one number makes that number: zeros around it do not count."""
    counts_pads = node.attributes.get_int("count_include_pad", 0) == 1
    return node.op_type == "MaxPool" or (node.op_type == "AveragePool" and not counts_pads)


def _resize(site: Site) -> list[State]:
    state, target = site.input(0), site.output()
    changed = [axis for axis in range(state.rank) if state.extents[axis] != target[axis] or target[axis] is None]
    held = site.held(state, changed, "GP373", "resamples channels")
    crops = site.node.attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    value = float(site.node.attributes.get_float("extrapolation_value", 0.0)) if crops else 0.0
    return [State(target, mapped(site, held, lambda at: np.where((at == 0) & (value == 0), 0.0, UNKNOWN)).factors)]


def _reduced_axes(site: Site, rank: int) -> list[int]:
    axes = site.integers("axes", 1)
    if not axes and site.node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        return []
    return [axis % rank for axis in (axes or range(rank))]


def _reduce(function: str) -> Rule:
    """A reduction: sums and averages end a channel, extremes over channels compare all of them."""

    def rule(site: Site) -> list[State]:
        state = site.input(0)
        axes = _reduced_axes(site, state.rank)
        if 0 in state.extents:
            raise CannotFollowError("GP375", "reduces nothing")
        if function not in {"sum", "mean"}:
            state = site.held(state, axes, "GP373", "compares along axes that channels lie along")
        factors = [_reduced(site, factor, axes) for factor in state.factors]
        kept = State(tuple(1 if axis in axes else extent for axis, extent in enumerate(state.extents)))
        kept = kept.with_factors(None if f is None else f.becomes(_after(function, f.at), site.node) for f in factors)
        return [kept if site.node.attributes.get_int("keepdims", 1) == 1 else without_axes(kept, axes)]

    return rule


def _reduced(site: Site, factor: Factor, axes: list[int]) -> Factor | None:
    return factor if set(axes).isdisjoint(factor.axes) else summed_over(site, factor, axes)


def _after(function: str, at: FloatArray) -> FloatArray:
    if function in {"keep", "mean"}:
        return at
    return np.full(at.shape, UNKNOWN) if function == "log" else _zero_stays(at)


def _global(site: Site) -> list[State]:
    state = site.input(0)
    held = site.held(state, range(2, state.rank), "GP373", _WINDOW)
    keeps = site.node.op_type in {"GlobalAveragePool", "GlobalMaxPool"}
    return [State(site.output(), mapped(site, held, np.array if keeps else _zero_stays).factors)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _window),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), _global),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare"), _reduce("sum")),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), _reduce("keep")),
    "ReduceMean": _reduce("mean"),
    "ReduceProd": _reduce("compare"),
    **dict.fromkeys(("ReduceLogSum", "ReduceLogSumExp"), _reduce("log")),
}
