"""How large channels become on samples, for what makes them: where `EqualizeChannels` has its ranges from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.values import read
from graphprune.analysis.scalable import Array, ScalableChannels, scalable_channels
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed
from graphprune.passes.equalize_channels import Gain
from graphprune.passes.shape_inference import infer_shapes


def channel_gains(model: ir.Model, feeds: Sequence[Feed]) -> tuple[Gain, ...]:
    """Return, for the channels that can be scaled, their largest magnitude over that of the weight that makes them.

    It is zero where that weight is. The magnitude is that of what is multiplied: behind a Relu, if there is one.
    """
    observed = model.clone()
    infer_shapes(observed)
    sites, _ = scalable_channels(observed)
    if not sites:
        return ()
    observed.graph.outputs[:] = dict.fromkeys(value for site in sites for value in site.read)
    session = session_for(observed, optimize=False)
    largest: dict[ScalableChannels, Array] = {site: np.zeros(site.size) for site in sites}
    for feed in feeds:
        values = dict(zip(observed.graph.outputs, session.run(None, feed), strict=True))
        for site in sites:
            seen = [_magnitudes(values[value], site.axis) for value in site.read]
            largest[site] = np.max([largest[site], *seen], axis=0)
    return tuple((site.name, tuple(_gain(site, largest[site]).tolist())) for site in sites)


def _magnitudes(array: Array, axis: int) -> Array:
    others = tuple(each for each in range(array.ndim) if each != axis % array.ndim)
    found: Array = np.abs(array).max(axis=others, initial=0).astype(np.float64)
    return found


def _gain(site: ScalableChannels, largest: Array) -> Array:
    maker = site.makers[0]
    weights = maker.largest(read(maker.value)).astype(np.float64)
    return np.divide(largest, weights, out=np.zeros(site.size), where=weights > 0)
