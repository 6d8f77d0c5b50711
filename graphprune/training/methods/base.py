"""The base of trained masks: the state of the schedule, and the parametrization through which a parameter is read."""

from __future__ import annotations

import abc
import math
from typing import Any

import torch
from torch import nn

from graphprune.errors import PreconditionError
from graphprune.masks import pdp
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.torch_operators import Ramp
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.planning.training_settings import TrainingSettings

_ONE = 1 << 62  # exact for every float64 from a 512th to 1
_NEAR = 1e-6  # what averaging equal numbers in float32 may do to them


class Scheduled(nn.Module):
    """A mask that the pruner drives through the schedule.

    Where the schedule stands is a buffer, so that whatever saves a module or copies its buffers (checkpoints of any
    kind, averages of weights) takes it along: fixed-point numbers, which no change of the module's type rounds.

    Attributes:
        name: Of the weight, or of the group of channels.
        schedule: The budget, the ratio and the progress in units of 2^-62, int64 [3].
    """

    schedule: torch.Tensor

    def __init__(self, name: str, budget: float, settings: TrainingSettings) -> None:
        super().__init__()
        self.name = name
        self.settings = settings
        self._cooling = settings.cooling
        self.register_buffer("schedule", torch.zeros(3, dtype=torch.int64))
        self._read: tuple[torch.Tensor, int, tuple[float, ...]] | None = None
        self._write(budget, 0.0, 0.0)

    @property
    def budget(self) -> float:
        """The share of zeros at the end, in [0, 1)."""
        return self._values()[0]

    @budget.setter
    def budget(self, budget: float) -> None:
        self._write(budget, self.ratio, self.progress)

    @property
    def ratio(self) -> float:
        """How much of the budget is asked for now, in [0, 1]; at 0 nothing is masked."""
        return self._values()[1]

    @property
    def progress(self) -> float:
        """How far the ramp is in time, in [0, 1]."""
        return self._values()[2]

    def follow(self, ratio: float, progress: float) -> None:
        """Stand where the schedule does."""
        self._write(self.budget, ratio, progress)

    def stands_at(self, budget: float, ratio: float, progress: float) -> bool:
        """Return whether the buffer says so, whoever wrote it, and however: averages may do so behind torch's back."""
        found = (value / _ONE for value in self.schedule.tolist())
        return all(math.isclose(*pair, abs_tol=_NEAR) for pair in zip(found, (budget, ratio, progress), strict=True))

    def ramp(self) -> Ramp:
        """Return where the schedule stands as tensors, which a compiled network reads anew at every call."""
        budget, ratio, progress = (self.schedule.double() / _ONE).unbind()
        first, last, relative = self._cooling
        temperature = last + (first - last) * (1 - progress) ** 3
        return Ramp(budget, ratio, temperature, relative, sampled=self.settings.threshold == "sampled")

    def _values(self) -> tuple[float, ...]:
        """The numbers of the buffer; a device is asked for them only after somebody wrote there."""
        version = -1 if self.schedule.is_inference() else self.schedule._version  # noqa: SLF001 - torch has no other
        if self._read is None or self._read[0] is not self.schedule or version < 0 or self._read[1] != version:
            self._read = self.schedule, version, tuple(value / _ONE for value in self.schedule.tolist())
        return self._read[2]

    def _write(self, *values: float) -> None:
        numbers = torch.tensor([round(value * _ONE) for value in values], dtype=torch.int64)
        self.schedule.copy_(numbers)
        self._values()

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies are made of: a copied buffer has a version of its own."""
        return {**self.__dict__, "_read": None}


def is_idle(mask: Scheduled) -> bool:
    """Return whether nothing is asked for yet. A compiled network does not know, so masks are right at ratio 0 too."""
    return not torch.compiler.is_compiling() and mask.ratio == 0


def refuse_export(name: str) -> None:
    """Refuse the export of a mask that is computed from the values of the weights.

    Raises:
        PreconditionError: The module is being exported (GP722).
    """
    if torch.compiler.is_exporting():
        reason = f"the mask of '{name}' follows the weights and cannot be exported"
        raise PreconditionError(f"{reason}; finalize the pruner first, or a copy with finalize_copy", code="GP722")


class ParameterMask(nn.Module, abc.ABC):
    """A parametrization of one parameter; `forward` gives what the network computes with."""

    _hard: torch.Tensor | None = None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the masked parameter, of its shape and type."""
        return self.masked(weight) if self._hard is None else self._hard

    def replace(self, hardened: torch.Tensor | None) -> None:
        """Let `forward` give that parameter from now on; None goes back to training."""
        self._hard = hardened

    @abc.abstractmethod
    def masked(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter as the method masks it in training."""

    def advance(self, ratio: float, progress: float, weight: torch.Tensor) -> None:
        """Follow a step of the optimizer and of the schedule; `weight` is the dense parameter."""

    @abc.abstractmethod
    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the parameter with its final zeros."""


class WeightMask(ParameterMask, Scheduled):
    """A mask of one weight.

    Args:
        planned: The weight, its pattern and its budget.
        settings: Of the training.
    """

    def __init__(self, planned: WeightPlan, settings: TrainingSettings) -> None:
        Scheduled.__init__(self, planned.name, planned.sparsity, settings)
        self.pattern = parse_pattern(planned.pattern)
        self.axes = planned.axes

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the masked weight; the weight itself where nothing is asked for yet."""
        return weight if self._hard is None and is_idle(self) else super().forward(weight)

    def mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the mask of `masked`, for reports."""
        return self.hard_mask(weight).to(weight.dtype)

    def hard_mask(self, weight: torch.Tensor) -> torch.Tensor:
        """Return which elements stay at the full budget, with exact counts."""
        return pdp.hard_mask(weight, pattern=self.pattern, axes=self.axes, budget=self.budget)

    def hardened(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with its final zeros."""
        return torch.where(self.hard_mask(weight), weight, 0)

    def advance(self, ratio: float, progress: float, weight: torch.Tensor) -> None:
        """Follow a step of the optimizer and of the schedule; `weight` is the dense one."""
        self.follow(ratio, progress)
        self.update(weight)

    def misplaced(self, size: int) -> float:  # noqa: ARG002 - of methods that estimate
        """Return what share of `size` elements may lie on the wrong side of the threshold, at most."""
        return 0.0

    def update(self, weight: torch.Tensor) -> None:
        """Choose anew what stays, where the method does that from step to step; `weight` is the dense one."""

    def extra_repr(self) -> str:
        """Return what `print` shows of it."""
        return f"{self.pattern}, budget={self.budget:g}, ratio={self.ratio:g}"
