"""Drives the masks of a module through the schedule, and hardens them at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from graphprune.errors import InputError, PreconditionError
from graphprune.planning.planner import plan as make_plan
from graphprune.planning.recipe import Recipe
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.methods.base import Scheduled, WeightMask
from graphprune.training.methods.channels import ChannelMask
from graphprune.training.report import PruningReport, make_report
from graphprune.training.sites import Site, whole


@dataclass
class Pruner:
    """Made by `prepare`; call `step` after every epoch or step, in the unit of the recipe's schedule.

    Attributes:
        module: The module, with its masks.
        sites: The parameters under masks.
        groups: The masks of channels.
        model: The exported graph; its planned weights are the live ones.
        recipe: What is pruned.
        settings: How it is trained.
        fixed: Whether the budgets were given, and are not computed anew at the end of the dense phase.
        steps: How many calls of `step` there were.
    """

    module: nn.Module
    sites: tuple[Site, ...]
    groups: tuple[ChannelMask, ...]
    model: ir.Model
    recipe: Recipe
    settings: TrainingSettings
    fixed: bool
    steps: int = 0
    _started: int | None = field(default=None, init=False)
    _metrics: list[float] = field(default_factory=list, init=False)
    _done: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._advance()

    def step(self, metric: float | None = None) -> None:
        """Go one call further in the schedule.

        Args:
            metric: The validation accuracy, where the schedule starts by it.

        Raises:
            PreconditionError: The pruner was finalized (GP710), or a weight or gradient holds NaN or an
                infinity (GP711).
            InputError: The schedule needs a metric (GP712).
        """
        self._verify_open()
        if self.settings.schedule.start == "validation" and self._started is None and metric is None:
            raise InputError("the schedule starts by validation: step needs metric=", code="GP712")
        self._verify_finite()
        if metric is not None:
            self._metrics.append(metric)
        self.steps += 1
        self._advance()

    @property
    def ratio(self) -> float:
        """How much of the target the schedule asks for now, in [0, 1]."""
        return 0.0 if self._started is None else self.settings.schedule.ratio(self.steps - self._started)

    @property
    def progress(self) -> float:
        """How far the ramp is in time, in [0, 1]."""
        return 0.0 if self._started is None else self.settings.schedule.progress(self.steps - self._started)

    @property
    def masks(self) -> tuple[Scheduled, ...]:
        """What has a budget: the masks of weights, and those of groups of channels."""
        return (*(site.mask for site in self.sites if isinstance(site.mask, WeightMask)), *self.groups)

    def report(self) -> PruningReport:
        """Return, layer by layer, what is asked for, what is undecided, and how far hardening is."""
        self._verify_open()
        return make_report(self.steps, self.sites, self.groups)

    @contextlib.contextmanager
    def hardened(self) -> Iterator[nn.Module]:
        """Inside the block the module has exact zeros, at the full budget; then training goes on as before."""
        self._verify_open()
        weights = self._hardened()
        try:
            for site, weight in zip(self.sites, weights, strict=True):
                site.mask.replace(weight)
            yield self.module
        finally:
            for site in self.sites:
                site.mask.replace(None)

    def finalize(self, *, force: bool = False) -> nn.Module:
        """Set exact zeros, take the masks off, and return the module, a plain one again.

        Args:
            force: Do so before the ramp has ended.

        Raises:
            PreconditionError: The ramp has not ended (GP713), the pruner was finalized before (GP710), or a weight
                holds NaN or an infinity (GP711). The module is as it was then.
        """
        self._verify_open()
        self._verify_finite()
        if self.progress < 1 and not force:
            reason = f"the ramp stands at {self.progress:.2f} of its length after {self.steps} steps"
            raise PreconditionError(f"finalize: {reason}; force=True hardens anyway", code="GP713")
        for site, weight in zip(self.sites, self._hardened(), strict=True):
            site.remove(weight)
        self._done = True
        return self.module

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands; the masks' part is in the module's own `state_dict`."""
        return {"steps": self.steps, "started": self._started, "metrics": list(self._metrics)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; load the module's and the optimizer's states too."""
        self._verify_open()
        self.steps, self._started, self._metrics = state["steps"], state["started"], list(state["metrics"])

    def _advance(self) -> None:
        if self._started is None and self._may_start():
            self._started = self.steps
            self._set_budgets()
        for site in self.sites:
            site.advance(self.ratio, self.progress)
        for group in self.groups:
            group.advance(self.ratio, self.progress)

    def _may_start(self) -> bool:
        schedule = self.settings.schedule
        if schedule.start != "validation":
            return self.steps >= schedule.start
        recent = self._metrics[-schedule.patience :]
        return len(recent) == schedule.patience and min(recent) > max(self._metrics) / 2

    def _set_budgets(self) -> None:
        """Share out the zeros once, by the weights as they are at the end of the dense phase."""
        if self.fixed:
            return
        plan = make_plan(self.model, self.recipe)
        budgets = {entry.name: entry.sparsity for entry in plan.weights}
        budgets |= {entry.group: entry.sparsity for entry in plan.channels}
        for mask in self.masks:
            mask.budget = budgets[mask.name]

    @torch.no_grad()
    def _hardened(self) -> list[torch.Tensor]:
        return [site.mask.hardened(site.weight()) for site in self.sites]

    def _verify_open(self) -> None:
        if self._done:
            raise PreconditionError("the pruner was finalized; prepare the module again", code="GP710")

    def _verify_finite(self) -> None:
        for site in self.sites:
            for what, tensor in (("weight", site.parameter.detach()), ("gradient", site.parameter.grad)):
                if tensor is not None and not torch.isfinite(whole(tensor.sum())):
                    message = f"the {what} of '{site.name}' holds NaN or an infinity after {self.steps} steps"
                    raise PreconditionError(message, code="GP711")
