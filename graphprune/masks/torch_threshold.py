"""The threshold between what stays and what goes, of torch tensors: exact without sorting, or from a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from graphprune.masks.torch_tensors import chunks, flat, is_transformed, wide

_SORTED = 1 << 15  # up to here sorting is as fast
_PROBES = 1 << 14  # what the bracket of the exact threshold is drawn from
_SAMPLE = 1 << 16  # what the estimated threshold is drawn from
_WIDTH = 4.5  # of the bracket, in standard deviations of an order statistic
_DRIFT = 1 / 256  # how far the threshold is looked for from where it was last
_MISS = 1e-6  # how often the error of an estimate may exceed its bound


@dataclass
class ThresholdSearch:
    """Finds the threshold of one tensor again and again; exact ones first near where the last one was.

    Attributes:
        sampled: Estimate the threshold from a random sample where the tensor is large; see `sampled_error`.
    """

    sampled: bool = False
    _last: torch.Tensor | None = field(default=None, init=False, repr=False)

    @torch.compiler.disable  # type: ignore[untyped-decorator] # torch ships no types for it
    @torch.no_grad()
    def __call__(self, scores: torch.Tensor, pruned: int) -> torch.Tensor:
        """Return half the sum of the largest score that goes and the smallest that stays.

        Args:
            scores: Their magnitudes count; any shape and floating type, more than `pruned` elements.
            pruned: How many go, at least 1.

        Returns:
            A number of no dimensions, float32 or float64. It is what sorting would give, also among equals; NaN scores
            are nobody's business here and may give any number.
        """
        values = flat(scores.detach())
        if is_transformed():
            low, high = _sorted(values, pruned)
            return wide(low + high) / 2
        if self.sampled and values.numel() > _SAMPLE:
            share = pruned / values.numel()
            values = _drawn(values, _SAMPLE)
            pruned = min(max(1, round(share * _SAMPLE)), _SAMPLE - 1)
        low, high = self._neighbours(values, pruned)
        self._last = (low.double() + high.double()).mul(0.5).to(wide(low).dtype)
        return self._last

    def _neighbours(self, values: torch.Tensor, pruned: int) -> tuple[torch.Tensor, torch.Tensor]:
        found = None if self._last is None else _between(values, pruned, _around(self._last))
        if found is None and values.numel() > _SORTED:
            found = _between(values, pruned, _bracket(values, pruned))
        if found is not None:
            return found
        return _sorted(values, pruned)


class KnownThreshold(ThresholdSearch):
    """Gives what another search found last, also under `torch.func`, where nothing can be searched."""

    def __init__(self, search: ThresholdSearch) -> None:
        super().__init__()
        self._last = search._last  # noqa: SLF001 - of the class above

    def __call__(self, scores: torch.Tensor, pruned: int) -> torch.Tensor:
        """Return the threshold."""
        del scores, pruned
        assert self._last is not None  # the other one was asked the same
        return self._last


def _sorted(values: torch.Tensor, pruned: int) -> tuple[torch.Tensor, torch.Tensor]:
    ordered = values.abs().sort().values
    return ordered[pruned - 1], ordered[pruned]


def sampled_error(size: int) -> float:
    """Return what share of `size` elements at most lies on the wrong side of a sampled threshold.

    By the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), `sqrt(ln(2 / d) / (2 s))` for s
    draws, exceeded once in d = 1e-6 times; 0 where the tensor is small enough to be read whole.
    """
    return 0.0 if size <= _SAMPLE else math.sqrt(math.log(2 / _MISS) / (2 * _SAMPLE))


def _around(last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return last * (1 - _DRIFT), last * (1 + _DRIFT)


def _between(
    values: torch.Tensor, pruned: int, bracket: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The two scores around the threshold, if both lie within the bracket."""
    below, band = _band(values, *bracket)
    first = pruned - 1 - below
    if not 0 <= first < band.numel() - 1:
        return None
    return band.kthvalue(first + 1).values, band.kthvalue(first + 2).values


def _bracket(values: torch.Tensor, pruned: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two scores between which the threshold lies, almost always."""
    probes = wide(_drawn(values, _PROBES)).abs().sort().values
    share = pruned / values.numel()
    reach = math.ceil(_WIDTH * math.sqrt(_PROBES * share * (1 - share))) + 1
    place = int(share * _PROBES)
    low = probes[place - reach] if place >= reach else torch.zeros_like(probes[0])
    high = probes[place + reach] if place + reach < _PROBES else torch.full_like(probes[0], torch.inf)
    return low, high


def _band(values: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[int, torch.Tensor]:
    """How many magnitudes are below `low`, and those from there to `high`."""
    below, parts = 0, []
    for chunk in chunks(values):
        under, part = _chunk_band(chunk.abs().to(low.dtype), low, high)
        below += under
        parts.append(part)
    return below, torch.cat(parts)


def _chunk_band(magnitudes: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[int, torch.Tensor]:
    if magnitudes.device.type == "cpu":  # NumPy counts and selects in half the time
        array = magnitudes.numpy()
        below = array < low.item()
        return int(np.count_nonzero(below)), torch.from_numpy(array[(array <= high.item()) ^ below])
    under = magnitudes < low
    return int(under.count_nonzero()), magnitudes[(magnitudes <= high).logical_xor_(under)]


def _drawn(values: torch.Tensor, count: int) -> torch.Tensor:
    """Elements drawn with replacement, always the same places for the same size."""
    generator = torch.Generator().manual_seed(values.numel())
    return values[torch.randint(values.numel(), (count,), generator=generator).to(values.device)]
