"""The soft mask of PDP (arXiv 2305.11203) in torch: `m = sigmoid((score² - threshold²) / temperature)`.

The score of an element is its magnitude; of a block, and of a channel of a coupled group, the root mean square of its
weights. The threshold lies halfway between the smallest score that stays and the largest that goes; it is recomputed
from the current weights and taken as a constant in the gradient. Everything is computed in float32, in float64 for
float64 weights. Where nothing is to go, the mask is exactly 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from graphprune.masks.axes import WeightAxes
from graphprune.masks.criteria import Magnitude, WeightValues
from graphprune.masks.patterns import NM, Block, Pattern
from graphprune.masks.temperature import Temperature
from graphprune.masks.torch_masked import masked_weight
from graphprune.masks.torch_tensors import wide
from graphprune.masks.torch_threshold import ThresholdSearch

_SMALLEST = 1e-18
"""A threshold of 0, among zeros, counts as this: its square is a number that tau can be relative to."""


def soft_masked(
    weight: torch.Tensor,
    *,
    pattern: Pattern,
    axes: WeightAxes,
    budget: float,
    ratio: float,
    temperature: Temperature | None,
    search: ThresholdSearch | None = None,
) -> torch.Tensor:
    """Return `m * weight`, of the weight's type and memory format.

    Nothing of the mask is kept for the backward pass, which computes it again.

    Args:
        weight: As it is stored.
        pattern: What goes together.
        axes: Which of its axes count what.
        budget: The share of zeros at the end, in [0, 1).
        ratio: How much of it is asked for, in [0, 1].
        temperature: How wide the band of undecided weights is; None for a hard mask, 1 from the threshold on.
        search: What finds the threshold, for patterns with one threshold a weight; kept from step to step it is faster.
    """
    if _unit(pattern) is not None:
        mask = _unit_mask(
            wide(weight), pattern, axes, budget=budget, ratio=ratio, temperature=temperature, search=search
        )
        return (mask * weight).to(weight.dtype)
    limit = _limit(weight, pattern, axes, budget=budget, ratio=ratio, search=search)
    if limit is None:
        return weight
    if temperature is None:
        return torch.where(weight.detach().abs() >= limit, weight, 0)
    squared = limit.square()
    tau = temperature.value * squared if temperature.relative else torch.full_like(squared, temperature.value)
    return masked_weight(weight, squared, tau)


@torch.no_grad()
def soft_mask(
    weight: torch.Tensor,
    *,
    pattern: Pattern,
    axes: WeightAxes,
    budget: float,
    ratio: float,
    temperature: Temperature | None,
) -> torch.Tensor:
    """Return the mask itself, float32 or float64, of the shape of `weight`; without gradient."""
    values = wide(weight)
    if _unit(pattern) is not None:
        return _unit_mask(values, pattern, axes, budget=budget, ratio=ratio, temperature=temperature)
    limit = _limit(weight, pattern, axes, budget=budget, ratio=ratio)
    return torch.ones_like(values) if limit is None else _mask(values, limit, temperature)


@torch.no_grad()
def hard_mask(weight: torch.Tensor, *, pattern: Pattern, axes: WeightAxes, budget: float) -> torch.Tensor:
    """Return which elements stay, with exactly as many False entries as the pattern prunes at `budget`.

    Raises:
        RecipeError: The weight holds NaN or an infinity (GP323).
    """
    scores = Magnitude().score(WeightValues("weight", wide(weight.detach()).cpu().numpy()))
    pruned = pattern.pruned_count(tuple(weight.shape), axes, budget)
    return torch.from_numpy(pattern.keep_mask(scores, axes, pruned)).to(weight.device)


def channel_scores(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the root mean square of each channel of a group over all its weights, differentiable, also at zero.

    Args:
        weights: What each weight has of the channels, [channels, elements].
    """
    norms = torch.stack([torch.linalg.vector_norm(wide(weight), dim=1) for weight in weights])
    total: torch.Tensor = torch.linalg.vector_norm(norms, dim=0)
    return total / math.sqrt(sum(weight.shape[1] for weight in weights))


def channel_mask(
    scores: torch.Tensor,
    *,
    budget: float,
    ratio: float,
    temperature: Temperature | None,
    search: ThresholdSearch | None = None,
) -> torch.Tensor:
    """Return the mask over units of those scores; the gradient flows through them."""
    pruned = round(budget * ratio * scores.numel())
    if pruned == 0:
        return torch.ones_like(scores)
    return _mask(scores, (search or ThresholdSearch())(scores, pruned), temperature)


def _mask(scores: torch.Tensor, limit: torch.Tensor, temperature: Temperature | None) -> torch.Tensor:
    if temperature is None:
        return (scores.abs() >= limit).to(scores.dtype)
    squared = limit.square()
    tau = temperature.value * squared if temperature.relative else temperature.value
    nothing = squared == 0
    soft = torch.sigmoid((scores.square() - squared) / torch.where(nothing, torch.ones_like(squared), tau))
    return torch.where(nothing, 1, soft)


@torch.no_grad()
def _limit(
    weight: torch.Tensor,
    pattern: Pattern,
    axes: WeightAxes,
    *,
    budget: float,
    ratio: float,
    search: ThresholdSearch | None = None,
) -> torch.Tensor | None:
    """The threshold of every element: one number, or one an element; None where nothing goes."""
    if isinstance(pattern, NM):
        if ratio == 0:
            return None
        limits = _group_limits(axes.rows(wide(weight.detach())).abs(), pattern, ratio)
        return axes.restore(limits, tuple(weight.shape))
    pruned = round(budget * ratio * weight.numel())
    return (search or ThresholdSearch())(weight, pruned).clamp(min=_SMALLEST) if pruned else None


@torch.no_grad()
def _group_limits(scores: torch.Tensor, pattern: NM, ratio: float) -> torch.Tensor:
    """`ratio` times the threshold of each group of inputs, at every one; 0 where a shorter last group keeps all.

    Args:
        scores: Not negative, [outputs, positions, inputs].
        pattern: What groups keep.
        ratio: How much is asked for, in [0, 1].
    """
    inputs = scores.shape[-1]
    padded = torch.nn.functional.pad(scores, (0, -inputs % pattern.of))
    groups = padded.reshape(*scores.shape[:2], -1, pattern.of)
    last_two = groups.topk(pattern.keep + 1, dim=-1).values[..., -2:]
    limits = 0.5 * ratio * last_two.sum(-1, keepdim=True)
    if 0 < inputs % pattern.of <= pattern.keep:
        limits[:, :, -1] = 0
    return limits.expand_as(groups).reshape(padded.shape)[..., :inputs]


def _unit(pattern: Pattern) -> tuple[int, int] | None:
    """Outputs and input channels that share a score and a mask; None where each element has its own."""
    if isinstance(pattern, Block):
        return pattern.rows, pattern.columns
    return (pattern.outputs, 1) if isinstance(pattern, NM) and pattern.outputs > 1 else None


def _unit_mask(
    values: torch.Tensor,
    pattern: Pattern,
    axes: WeightAxes,
    *,
    budget: float,
    ratio: float,
    temperature: Temperature | None,
    search: ThresholdSearch | None = None,
) -> torch.Tensor:
    """The mask of elements that share a score: the root mean square of a block, or of neighbouring outputs."""
    height, width = _unit(pattern) or (1, 1)
    rows = axes.rows(values)
    blocks = rows.reshape(rows.shape[0] // height, height, rows.shape[1], -1, width)
    scores = blocks.square().mean((1, 4)).sqrt()
    if isinstance(pattern, NM):
        limits = _group_limits(scores, pattern, ratio)
        mask = _mask(scores, limits, temperature)
    else:
        mask = channel_mask(scores, budget=budget, ratio=ratio, temperature=temperature, search=search)
    repeated = mask.repeat_interleave(height, 0).repeat_interleave(width, 2)
    return axes.restore(repeated, tuple(values.shape))
