"""The soft mask of PDP (arXiv 2305.11203) in torch: `m = sigmoid((score² - threshold²) / temperature)`.

The score of an element is its magnitude; of a block, and of a channel of a coupled group, the root mean square of its
weights. The threshold lies halfway between the smallest score that stays and the largest that goes; it is recomputed from
the current weights and taken as a constant in the gradient. Everything is computed in float32, in float64 for float64
weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Block, Pattern
from graphprune.masks.temperature import Temperature


def soft_masked(
    weight: torch.Tensor,
    *,
    pattern: Pattern,
    axes: WeightAxes,
    budget: float,
    ratio: float,
    temperature: Temperature,
    sampled: bool = False,
) -> torch.Tensor:
    """Return `m * weight`, in the weight's type."""
    mask = soft_mask(
        weight, pattern=pattern, axes=axes, budget=budget, ratio=ratio, temperature=temperature, sampled=sampled
    )
    return (mask * weight).to(weight.dtype)


def soft_mask(
    weight: torch.Tensor,
    *,
    pattern: Pattern,
    axes: WeightAxes,
    budget: float,
    ratio: float,
    temperature: Temperature,
    sampled: bool = False,
) -> torch.Tensor:
    """Return the mask, of the shape of `weight`."""
    del sampled
    wide = weight if weight.dtype == torch.float64 else weight.float()
    if isinstance(pattern, NM):
        return _nm_mask(wide, pattern, axes, ratio, temperature)
    if isinstance(pattern, Block):
        rows = axes.rows(wide)
        outputs, positions, inputs = rows.shape
        blocks = rows.reshape(outputs // pattern.rows, pattern.rows, positions, -1, pattern.columns)
        scores = blocks.square().mean((1, 4)).sqrt()
        mask = channel_mask(scores, budget=budget, ratio=ratio, temperature=temperature)
        wide_mask = mask.repeat_interleave(pattern.rows, 0).repeat_interleave(pattern.columns, 2)
        return axes.restore(wide_mask, tuple(weight.shape))
    return channel_mask(wide.abs(), budget=budget, ratio=ratio, temperature=temperature)


def _nm_mask(wide: torch.Tensor, pattern: NM, axes: WeightAxes, ratio: float, temperature: Temperature) -> torch.Tensor:
    if ratio == 0:
        return torch.ones_like(wide)
    rows = axes.rows(wide)
    missing = -rows.shape[-1] % pattern.of
    padded = torch.nn.functional.pad(rows, (0, missing))
    groups = padded.reshape(*rows.shape[:2], -1, pattern.of)
    with torch.no_grad():
        largest = groups.abs().topk(pattern.keep + 1, dim=-1).values
        limit = ratio * 0.5 * largest[..., -2:].sum(-1, keepdim=True)
        rest = rows.shape[-1] % pattern.of
        if 0 < rest <= pattern.keep:
            limit[:, :, -1] = 0
    tau = temperature.value * limit.square() if temperature.relative else temperature.value
    mask = torch.where(limit == 0, 1.0, torch.sigmoid((groups.square() - limit.square()) / tau))
    return axes.restore(mask.reshape(padded.shape)[..., : rows.shape[-1]], tuple(wide.shape))


def channel_mask(scores: torch.Tensor, *, budget: float, ratio: float, temperature: Temperature) -> torch.Tensor:
    """Return the mask over units of those scores; the gradient flows through them."""
    pruned = round(budget * ratio * scores.numel())
    if pruned == 0:
        return torch.ones_like(scores)
    limit = _threshold(scores.detach(), pruned)
    tau = temperature.value * limit**2 if temperature.relative else temperature.value
    return torch.sigmoid((scores.square() - limit**2) / tau)


def channel_scores(weights: Sequence[tuple[torch.Tensor, int, int]], size: int) -> torch.Tensor:
    """Return the root mean square of each channel over its weights, given as (weight, axis, start)."""
    parts = [
        (weight if weight.dtype == torch.float64 else weight.float())
        .narrow(axis, start, size)
        .movedim(axis, 0)
        .flatten(1)
        for weight, axis, start in weights
    ]
    total = sum((part.square().sum(1) for part in parts[1:]), parts[0].square().sum(1))
    return (total / sum(part.shape[1] for part in parts)).sqrt()


def hard_mask(weight: torch.Tensor, *, pattern: Pattern, axes: WeightAxes, budget: float) -> torch.Tensor:
    """Return which elements stay, with exactly as many False entries as the pattern prunes at `budget`."""
    from graphprune.masks.criteria import Magnitude

    scores = Magnitude().score("weight", weight.detach().float().cpu().numpy())
    pruned = pattern.pruned_count(tuple(weight.shape), axes, budget)
    return torch.from_numpy(pattern.keep_mask(scores, axes, pruned)).to(weight.device)


def _threshold(scores: torch.Tensor, pruned: int) -> float:
    largest = scores.flatten().topk(scores.numel() - pruned + 1).values
    return 0.5 * float(largest[-2] + largest[-1])
