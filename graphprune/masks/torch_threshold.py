"""The threshold between what stays and what goes, of torch tensors: exact without sorting, or from a sample."""

from __future__ import annotations

import math

import torch

_CHUNK = 1 << 17  # elements whose temporaries stay in a core's cache
_SORTED = 1 << 15  # up to here sorting is as fast
_PROBES = 1 << 14  # what the bracket of the exact threshold is drawn from
_SAMPLE = 1 << 16  # what the estimated threshold is drawn from
_WIDTH = 4.5  # of the bracket, in standard deviations of an order statistic
_MISS = 1e-6  # how often the error of an estimate may exceed its bound


@torch.compiler.disable  # type: ignore[untyped-decorator] # torch ships no types for it
@torch.no_grad()
def threshold(scores: torch.Tensor, pruned: int, *, sampled: bool = False) -> torch.Tensor:
    """Return half the sum of the largest score that goes and the smallest that stays.

    Args:
        scores: Their magnitudes count; any shape and floating type, more than `pruned` elements.
        pruned: How many go, at least 1.
        sampled: Estimate it from a random sample where the tensor is large; see `sampled_error`.

    Returns:
        A number of no dimensions, float32 or float64. It is what sorting would give, also among equals; NaN scores are
        nobody's business here and may give any number.
    """
    values = flat(scores.detach())
    if sampled and values.numel() > _SAMPLE:
        share = pruned / values.numel()
        values = _drawn(values, _SAMPLE)
        pruned = min(max(1, round(share * _SAMPLE)), _SAMPLE - 1)
    low, high = _neighbours(values, pruned)
    return (low.double() + high.double()).mul(0.5).to(torch.promote_types(values.dtype, torch.float32))


def sampled_error(size: int) -> float:
    """Return what share of `size` elements at most lies on the wrong side of a sampled threshold.

    By the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), `sqrt(ln(2 / d) / (2 s))` for s
    draws, exceeded once in d = 1e-6 times; 0 where the tensor is small enough to be read whole.
    """
    return 0.0 if size <= _SAMPLE else math.sqrt(math.log(2 / _MISS) / (2 * _SAMPLE))


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements in one dimension, in the order of memory where they lie densely: without a copy then."""
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    return tensor.permute(order).reshape(-1)


def chunks(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return views of a flat tensor that a core works through one by one; on other devices, one view."""
    return torch.split(tensor, _CHUNK) if tensor.device.type == "cpu" else (tensor,)


def _neighbours(values: torch.Tensor, pruned: int) -> tuple[torch.Tensor, torch.Tensor]:
    if values.numel() > _SORTED:
        low, high = _bracket(values, pruned)
        below, band = _band(values, low, high)
        first = pruned - 1 - below
        if 0 <= first < band.numel() - 1:
            return band.kthvalue(first + 1).values, band.kthvalue(first + 2).values
    ordered = values.abs().sort().values
    return ordered[pruned - 1], ordered[pruned]


def _bracket(values: torch.Tensor, pruned: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two scores between which the threshold lies, almost always."""
    probes = _drawn(values, _PROBES).abs().sort().values
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
        magnitudes = chunk.abs()
        under = magnitudes < low
        below += int(under.count_nonzero())
        parts.append(magnitudes[(magnitudes <= high).logical_xor_(under)])
    return below, torch.cat(parts)


def _drawn(values: torch.Tensor, count: int) -> torch.Tensor:
    """Elements drawn with replacement, always the same places for the same size."""
    generator = torch.Generator().manual_seed(values.numel())
    return values[torch.randint(values.numel(), (count,), generator=generator).to(values.device)]
