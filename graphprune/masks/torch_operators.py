"""Soft masks as operators of torch: `torch.compile` and `torch.export` see one call, whose numbers are tensors.

A compiled network is then not compiled anew because a schedule moves on, and what searches a threshold is not traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from graphprune.masks import pdp
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.temperature import Temperature
from graphprune.masks.torch_tensors import is_transformed
from graphprune.masks.torch_threshold import KnownThreshold, ThresholdSearch

_NUMBERS = "Tensor budget, Tensor ratio, Tensor temperature, bool relative, bool sampled"


@dataclass(frozen=True)
class Ramp:
    """Where a schedule stands, in tensors of no dimensions.

    Attributes:
        budget: The share of zeros at the end.
        ratio: How much of it is asked for.
        temperature: How wide the band of undecided weights is; 0 for a hard mask.
        relative: Whether that is in units of the squared threshold.
        sampled: Whether thresholds are estimated.
    """

    budget: torch.Tensor
    ratio: torch.Tensor
    temperature: torch.Tensor
    relative: bool
    sampled: bool = False

    @property
    def values(self) -> tuple[Any, ...]:
        """All of it, as operators take it."""
        return self.budget, self.ratio, self.temperature, self.relative, self.sampled


def soft_masked(weight: torch.Tensor, ramp: Ramp, pattern: str, axes: WeightAxes) -> torch.Tensor:
    """Return what `graphprune.masks.pdp.soft_masked` does; `pattern` is the text form of one."""
    constants = (*ramp.values, pattern, [axes.output, axes.input])
    if is_transformed():  # torch.func takes no operators with a gradient of their own
        return _of_weight(weight, _search(constants), *constants)
    return _soft_masked(weight, *constants)


def soft_units(scores: torch.Tensor, ramp: Ramp) -> torch.Tensor:
    """Return what `graphprune.masks.pdp.channel_mask` does."""
    return _soft_units(scores, *ramp.values)


def hard_mask(weight: torch.Tensor, budget: torch.Tensor, pattern: str, axes: WeightAxes) -> torch.Tensor:
    """Return what `graphprune.masks.pdp.hard_mask` does; without gradient."""
    chosen: torch.Tensor = _hard_mask(weight, budget, pattern, [axes.output, axes.input])
    return chosen


def _of_weight(weight: torch.Tensor, search: ThresholdSearch, *constants: Any) -> torch.Tensor:  # noqa: ANN401
    *numbers, pattern, axes = constants
    chosen, placed = parse_pattern(pattern), WeightAxes(*axes)
    return pdp.soft_masked(weight, search=search, pattern=chosen, axes=placed, **_schedule(*numbers))


def _of_units(scores: torch.Tensor, search: ThresholdSearch, *constants: Any) -> torch.Tensor:  # noqa: ANN401
    return pdp.channel_mask(scores, search=search, **_schedule(*constants))


def _schedule(budget: torch.Tensor, ratio: torch.Tensor, temperature: torch.Tensor, *rest: bool) -> dict[str, Any]:
    tau = temperature.item()
    made = Temperature(tau, relative=rest[0]) if tau > 0 else None
    return {"budget": budget.item(), "ratio": ratio.item(), "temperature": made}


def _operator(name: str, inputs: str, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Make an operator of a function that is differentiable in its first input; the others begin with `_NUMBERS`.

    Only the inputs are kept for the backward pass, which is an operator too: it computes the mask again.
    """

    def run(tensor: torch.Tensor, *constants: Any) -> torch.Tensor:  # noqa: ANN401 - as `inputs` says
        return torch.empty_like(tensor).copy_(function(tensor, _search(constants), *constants))

    def run_backward(gradient: torch.Tensor, tensor: torch.Tensor, *constants: Any) -> torch.Tensor:  # noqa: ANN401
        search = _search(constants)
        function(tensor, search, *constants)
        known = KnownThreshold(search)
        pull: Any = torch.func.vjp(lambda moved: function(moved, known, *constants), tensor)[1]
        return torch.empty_like(tensor).copy_(pull(gradient)[0])

    forward: Any = torch.library.custom_op(name, run, mutates_args=(), schema=f"(Tensor tensor, {inputs}) -> Tensor")
    schema = f"(Tensor gradient, Tensor tensor, {inputs}) -> Tensor"
    backward: Any = torch.library.custom_op(f"{name}_backward", run_backward, mutates_args=(), schema=schema)
    forward.register_fake(lambda tensor, *_: torch.empty_like(tensor))
    backward.register_fake(lambda _, tensor, *__: torch.empty_like(tensor))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # noqa: ANN401 - torch's context
        del output
        ctx.save_for_backward(*inputs[:4])
        ctx.constants = inputs[4:]

    def differentiate(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        tensor, *numbers = ctx.saved_tensors
        constants = (*numbers, *ctx.constants)
        return backward(gradient, tensor, *constants), *[None] * len(constants)

    forward.register_autograd(differentiate, setup_context=keep)
    made: Callable[..., torch.Tensor] = forward
    return made


def _search(constants: Sequence[Any]) -> ThresholdSearch:
    return ThresholdSearch(sampled=constants[4])


_soft_masked = _operator("graphprune::soft_masked", f"{_NUMBERS}, str pattern, int[] axes", _of_weight)
_soft_units = _operator("graphprune::soft_units", _NUMBERS, _of_units)


@torch.library.custom_op("graphprune::hard_mask", mutates_args=())
def _hard_mask(weight: torch.Tensor, budget: torch.Tensor, pattern: str, axes: Sequence[int]) -> torch.Tensor:
    chosen = parse_pattern(pattern)
    return pdp.hard_mask(weight, pattern=chosen, axes=WeightAxes(*axes), budget=budget.item()).contiguous()


@_hard_mask.register_fake
def _(weight: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.empty(weight.shape, dtype=torch.bool, device=weight.device)


OPERATOR: torch._ops.OpOverload[..., Any] = torch.ops.graphprune.soft_masked.default
"""The operator behind `soft_masked`, as exported programs call it."""
