"""Drives the masks of a module through the schedule, and hardens them at the end."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from graphprune.diagnostics import Skip
from graphprune.errors import InputError, PreconditionError
from graphprune.planning.recipe import Recipe
from graphprune.planning.training_settings import TrainingSettings
from graphprune.training.budgets import budgets
from graphprune.training.methods.base import Scheduled, WeightMask
from graphprune.training.methods.channels import ChannelMask
from graphprune.training.report import PruningReport, make_report
from graphprune.training.resuming import verify_same
from graphprune.training.sites import Site, follow, whole


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
        left: The weights that stay dense whatever the recipe says, and why.
        steps: How many calls of `step` there were.
    """

    module: nn.Module
    sites: tuple[Site, ...]
    groups: tuple[ChannelMask, ...]
    model: ir.Model
    recipe: Recipe
    settings: TrainingSettings
    fixed: bool
    left: tuple[Skip, ...] = ()
    steps: int = 0
    _started: int | None = field(default=None, init=False)
    _metrics: list[float] = field(default_factory=list, init=False)
    _done: bool = field(default=False, init=False)

    _budgets: dict[str, float] = field(default_factory=dict, init=False)  # by the name of the mask

    def __post_init__(self) -> None:
        self._budgets = {mask.name: mask.budget for mask in self.masks}
        self._advance()

    def step(self, metric: float | None = None) -> None:
        """Go one call further in the schedule.

        Args:
            metric: The validation accuracy, where the schedule starts by it.

        Raises:
            PreconditionError: The pruner was finalized (GP710), or a weight holds NaN or an infinity (GP711).
            InputError: The schedule needs a metric (GP712).
        """
        self._verify_open()
        if self.settings.schedule.start == "validation" and self._started is None and metric is None:
            raise InputError("the schedule starts by validation: step needs metric=", code="GP712")
        self._verify_finite(self.sites)
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
        return make_report(self.steps, self.sites, self.groups, self.left)

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
            force: Do so before the ramp has ended, or where the module is not where its pruner left it.

        Raises:
            PreconditionError: The ramp has not ended (GP713), the pruner was finalized before (GP710), a weight holds
                NaN or an infinity (GP711), or the state of the masks is an earlier one or an average (GP634). The
                module is as it was then.
        """
        self._verify_open()
        self._verify_finite(self.sites)
        self._verify_end(self.masks, force=force)
        self._restore(self.masks)
        for site, weight in zip(self.sites, self._hardened(), strict=True):
            site.remove(weight)
        self._done = True
        return self.module

    def finalize_copy(self, duplicate: nn.Module, *, force: bool = False) -> nn.Module:
        """Do what `finalize` does, with a copy of the module such as an average of its weights; the module stays.

        Args:
            duplicate: Made of the module while it had its masks (`AveragedModel(module).module`); changed in place.
            force: Do so before the ramp has ended, or where the copy is of earlier than that.

        Raises:
            RecipeError: It is no such copy (GP702).
            PreconditionError: The ramp has not ended (GP713), a weight of it holds NaN or an infinity (GP711), or the
                state of its masks is an earlier one or an average (GP634).
        """
        sites = [site.of_copy(self.module, duplicate) for site in self.sites]
        masks = [mask for mask in duplicate.modules() if isinstance(mask, Scheduled)]
        self._verify_finite(sites)
        self._verify_end(masks, force=force)
        self._restore(masks)
        with torch.no_grad():
            hardened = [site.mask.hardened(site.weight()) for site in sites]
        for site, weight in zip(sites, hardened, strict=True):
            site.remove(weight)
        return duplicate

    def _verify_end(self, masks: Iterable[Scheduled], *, force: bool) -> None:
        anyway = "force=True hardens anyway"
        if self.progress < 1 and not force:
            reason = f"the ramp stands at {self.progress:.2f} of its length after {self.steps} steps"
            raise PreconditionError(f"finalize: {reason}; {anyway}", code="GP713")
        strays = [mask for mask in masks if not mask.stands_at(self._budgets[mask.name], self.ratio, self.progress)]
        if strays and not force:
            what = "an earlier checkpoint, or an average that takes buffers too (use_buffers=False leaves them alone)"
            reason = f"the mask of '{strays[0].name}' is not where the pruner is: {what}"
            raise PreconditionError(f"finalize: {reason}; {anyway}", code="GP634")

    def _restore(self, masks: Iterable[Scheduled]) -> None:
        for mask in masks:
            mask.budget = self._budgets[mask.name]
            mask.follow(self.ratio, self.progress)

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands, and of what recipe; the masks' part is in the module's own `state_dict`.

        It holds numbers, texts, lists and dicts only, so that JSON can have it.
        """
        position = {"steps": self.steps, "started": self._started, "metrics": list(self._metrics)}
        budgets_now = dict(self._budgets)
        given = budgets_now if self.fixed else {}
        return position | {"recipe": self.recipe.model_dump(mode="json"), "given": given, "budgets": budgets_now}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; load the module's and the optimizer's states too.

        Raises:
            RecipeError: The state is of a run with another recipe or plan (GP720).
            PreconditionError: The pruner was finalized (GP710).
        """
        self._verify_open()
        verify_same(self.state_dict(), state)
        self.steps, self._started, self._metrics = state["steps"], state["started"], list(state["metrics"])
        self._budgets = dict(state["budgets"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Pruner:
        """Return a pruner of the copied module."""
        made = copy.copy(self)
        memo |= {id(self): made, id(self.model): self.model.clone()}
        for name, value in vars(self).items():
            setattr(made, name, copy.deepcopy(value, memo))
        follow(made.model, made.sites)
        return made

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
        shared = budgets(self.model, self.recipe)
        self._budgets = {mask.name: shared[mask.name] for mask in self.masks}
        for mask in self.masks:
            mask.budget = self._budgets[mask.name]

    @torch.no_grad()
    def _hardened(self) -> list[torch.Tensor]:
        return [site.mask.hardened(site.weight()) for site in self.sites]

    def _verify_open(self) -> None:
        if self._done:
            raise PreconditionError("the pruner was finalized; prepare the module again", code="GP710")

    def _verify_finite(self, sites: Iterable[Site]) -> None:
        """Weights only: a scaler of gradients skips the steps whose gradients overflow, and leaves them as they are."""
        for site in sites:
            if not torch.isfinite(whole(site.parameter.detach().sum())):
                message = f"the weight '{site.name}' holds NaN or an infinity after {self.steps} steps"
                raise PreconditionError(message, code="GP711")
