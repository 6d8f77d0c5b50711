"""Options of commands that look at samples."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphprune.cli.inputs import Samples
from graphprune.cli.options import parse_duration
from graphprune.cli.preprocessing import FORM, Preprocessed, by_input, read_calibration
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.calibration.channels import ChannelPruneResult
    from graphprune.calibration.pruner import PruneResult
    from graphprune.planning.pruning_plan import PruningPlan
    from graphprune.planning.recipe import Recipe

_DATA = f"NAME=x.npy|data.npz|FOLDER|text.txt|{FORM}"
_HELP = (
    "Real inputs: arrays stacked along the first axis, a folder of them or of images, or a function that yields them."
)

Calibration = Annotated[list[str], typer.Option(metavar=_DATA, help=_HELP)]
OptionalCalibration = Annotated[
    list[str] | None,
    typer.Option("--calibration", metavar=_DATA, help=f"{_HELP} For wanda, sparsegpt, flap, --refine and --repair."),
]
MostSamples = Annotated[int, typer.Option("--samples", min=1, help="Samples that are looked at, if there are as many.")]
Repairs = Annotated[
    str | None,
    typer.Option("--repair", metavar="bias,drift,...,blocks", help="What is done to the weights that stay."),
]
Preprocess = Annotated[
    str | None,
    typer.Option(metavar=FORM, help="What makes arrays of the path of each image of a folder, or each line of a text."),
]
Refine = Annotated[
    str | None, typer.Option(metavar="dsnot", help="Let zeros change places first, so that means of outputs stay.")
]


TargetLatency = Annotated[
    str | None,
    typer.Option(metavar="12ms", help="What a run may take: zeros go where they cost the least for it, by samples."),
]
TargetSpeedup = Annotated[
    float | None, typer.Option(metavar="2", help="The same: how many times as fast as the dense model, compiled.")
]


@dataclass(frozen=True)
class TimeBound:
    """How fast a pruned model is to be on this machine.

    Attributes:
        latency_ms: What a run may take.
        speedup: How many times as fast as the dense model it is to be.
    """

    latency_ms: float | None = None
    speedup: float | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is one."""
        return self.latency_ms is not None or self.speedup is not None

    @classmethod
    def of(cls, latency: str | None, speedup: float | None, sparsity: float | None, *, samples: bool) -> TimeBound:
        """Read the options.

        Raises:
            InputError: A share of zeros is given beside, or there are no samples (GP608); a time is misspelt (GP648).
        """
        found = cls(None if latency is None else parse_duration(latency), speedup)
        if found.is_given and sparsity is not None:
            raise InputError("a time and --sparsity are given, expected one of them", code="GP608")
        if found.is_given and not samples:
            raise InputError("zeros for a time go by samples, give --calibration too", code="GP608")
        return found


@dataclass(frozen=True)
class Calibrated:
    """What pruning by samples is given.

    Attributes:
        samples: Arrays by input name.
        most_samples: How many are looked at.
        repairs: What is done to the weights that stay.
        refine: What is done to the masks before, None for nothing.
    """

    samples: Samples | Preprocessed
    most_samples: int
    repairs: tuple[str, ...]
    refine: str | None = None

    @classmethod
    def of(
        cls,
        calibration: list[str] | None,
        most_samples: int,
        repairs: str | None,
        refine: str | None = None,
        preprocess: str | None = None,
    ) -> Calibrated | None:
        """Read the options; None where there are no samples.

        Raises:
            InputError: There are repairs or a refinement without samples (GP608), or as `read_calibration`.
        """
        samples = read_calibration(calibration, preprocess)
        for option, value in (("--repair", repairs), ("--refine", refine)):
            if samples is None and value is not None:
                raise InputError(f"{option} goes by samples, give --calibration too", code="GP608")
        names = () if repairs is None else tuple(name.strip() for name in repairs.split(","))
        return None if samples is None else cls(samples, most_samples, names, refine)

    def prune(self, model: ir.Model, plan: PruningPlan, output: Path, on_layer: Callable[..., Any]) -> PruneResult:
        """Prune; layers that an earlier run for this output has finished are not pruned again."""
        from graphprune.calibration.prune import prune
        from graphprune.calibration.repair import Repair

        return prune(
            model,
            plan,
            by_input(self.samples, model),
            repair=self.repairs,
            refine=self.refine,
            most_samples=self.most_samples,
            resume_in=_finished_in(output),
            on_layer=lambda done: on_layer(done, len(plan.weights) * (2 if Repair.BLOCKS in self.repairs else 1)),
        )

    def plan(self, model: ir.Model, recipe: Recipe, on_layer: Callable[..., Any], bound: TimeBound) -> PruningPlan:
        """Plan single weights: where all are compared, or a time is asked for, by what zeros in each of them cost."""
        from graphprune.allocation.share_out import allocate
        from graphprune.masks.criteria import parse_criterion
        from graphprune.planning.planner import plan

        by_damage = recipe.scope == "global" and parse_criterion(recipe.criterion).needs_samples
        if not by_damage and not bound.is_given:
            return plan(model, recipe)
        samples = by_input(self.samples, model)
        return allocate(
            model,
            recipe,
            samples,
            latency_ms=bound.latency_ms,
            speedup=bound.speedup,
            most_samples=self.most_samples,
            on_layer=on_layer,
        )

    def prune_channels(
        self, model: ir.Model, recipe: Recipe, output: Path, on_layer: Callable[..., Any]
    ) -> ChannelPruneResult:
        """Plan and prune channels; layers that an earlier run for this output has repaired are not repaired again.

        Raises:
            InputError: Masks are to be refined (GP608), or as `graphprune.prune_channels`.
        """
        from graphprune.calibration.channels import prune_channels

        if self.refine is not None:
            raise InputError(f"--refine is for single weights, and the pattern is '{recipe.pattern}'", code="GP608")
        return prune_channels(
            model,
            recipe,
            by_input(self.samples, model),
            repair=self.repairs,
            most_samples=self.most_samples,
            resume_in=_finished_in(output),
            on_layer=on_layer,
        )

    @staticmethod
    def forget(output: Path) -> None:
        """Remove the finished layers of an output that is written."""
        shutil.rmtree(_finished_in(output), ignore_errors=True)


def _finished_in(output: Path) -> Path:
    return output.with_name(f"{output.name}.layers")
