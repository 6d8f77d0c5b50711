"""Give channels scales at which integers lose less: what makes a channel and what reads it have equal ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.values import read
from graphprune.analysis.constants import replace_constant
from graphprune.analysis.scalable import Array, Operand, ScalableChannels, scalable_channels
from graphprune.diagnostics import Rewrite
from graphprune.errors import InputError
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage

_SWEEPS = 50
"""Neighbours change each other's ranges; a few sweeps over all of them are enough."""

Gain = tuple[str, tuple[float, ...]]
"""The name of a value, and the largest magnitude of each channel of it for a largest weight of one that makes it."""


@dataclass(frozen=True)
class EqualizeChannels(Pass):
    """Divide what makes a channel by a scale, and multiply what reads it by that, so that both have equal ranges.

    The scale is `sqrt(r1 r2) / r2`, r1 and r2 being the largest magnitudes of what makes and of what reads the channel:
    Nagel et al. 2019 ("Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1) take r1 of
    the weights, Xiao et al. 2022 ("SmoothQuant", equation 4 with an alpha of one half) of the activations, which gains
    do here. It is rounded to a power of two: no sum changes a bit then, and zeros stay zeros.

    Before::

        g (float[1,1,2,2] x) => (float[1,1,2,2] y) <
            float[2,1,1,1] w = {16, 1}, float[2] b = {4, 4}, float[1,2,1,1] v = {1, 16}
        > {
            h = Conv (x, w, b)
            a = Relu (h)
            y = Conv (a, v)
        }

    After::

        g (float[1,1,2,2] x) => (float[1,1,2,2] y) <
            float[2,1,1,1] w = {4, 4}, float[2] b = {1, 16}, float[1,2,1,1] v = {4, 4}
        > {
            h = Conv (x, w, b)
            a = Relu (h)
            y = Conv (a, v)
        }

    Refuses: GP398 something reads the channels that cannot take a factor back (a residual's Add, Clip, Gelu) or they
        are an output, GP399 a constant is read by others too, computed, or no float32.
    Raises: GP356 gains are not one finite number for each channel.

    Attributes:
        gains: Of values whose ranges samples gave, see `graphprune.calibration.gains`; r1 is that times what makes the
            channel. Without, weights alone decide.
    """

    name: ClassVar[str] = "equalize-channels"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    equivalence: ClassVar[Equivalence] = Equivalence.EXACT
    gains: tuple[Gain, ...] = ()

    def apply(self, model: ir.Model) -> PassOutcome:
        """Sweep over all sites until no channel moves.

        Raises:
            InputError: GP356.
        """
        infer_shapes(model)
        sites, skips = scalable_channels(model)
        gains = dict(self.gains)
        balances = [_Balance(site, self._gain(site, gains)) for site in sites]
        arrays = {each.value: read(each.value) for site in sites for each in (*site.makers, *site.readers)}
        for _ in range(_SWEEPS):
            if sum(balance.restore(arrays) for balance in balances) == 0:
                break
        moved = [balance for balance in balances if balance.exponents.any()]
        for value in {each.value for balance in moved for each in balance.operands}:
            replace_constant(value, arrays[value])
        return PassOutcome(tuple(balance.rewrite() for balance in moved), tuple(skips))

    def _gain(self, site: ScalableChannels, gains: Mapping[str, tuple[float, ...]]) -> Array:
        gain = np.array(gains.get(site.name, (1.0,) * site.size))
        if gain.shape != (site.size,) or not (np.isfinite(gain) & (gain >= 0)).all():
            message = (
                f"{self.name}: '{site.name}' has {gain.size} gains, expected {site.size} finite ones of at least 0"
            )
            raise InputError(message, code="GP356")
        return gain


class _Balance:
    """The scales that the channels of one value got so far.

    Attributes:
        exponents: Their logarithms to base 2, [channels].
    """

    def __init__(self, site: ScalableChannels, gain: Array) -> None:
        self.site = site
        self.gain = gain
        self.exponents = np.zeros(site.size, np.int64)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """All constants that change with the scales."""
        return (*self.site.makers, *self.site.readers)

    def restore(self, arrays: dict[ir.Value, Array]) -> bool:
        """Make the ranges on both sides equal as far as powers of two can; return whether they were not."""
        makes = self.gain * self.site.makers[0].largest(arrays[self.site.makers[0].value])
        reads = np.max([each.largest(arrays[each.value]) for each in self.site.readers], axis=0)
        is_used = (makes > 0) & (reads > 0)
        ratios = np.divide(makes, reads, out=np.ones(self.site.size), where=is_used)
        exponents = np.rint(np.log2(ratios) / 2).astype(np.int64)
        for each in self.site.makers:
            arrays[each.value] = each.scaled(arrays[each.value], np.exp2(-exponents))
        for each in self.site.readers:
            arrays[each.value] = each.scaled(arrays[each.value], np.exp2(exponents))
        self.exponents += exponents
        return bool(exponents.any())

    def rewrite(self) -> Rewrite:
        """Say what was done."""
        count = int(np.count_nonzero(self.exponents))
        return Rewrite("equalize", self.site.name, f"{count} of {self.site.size} channels scaled")
