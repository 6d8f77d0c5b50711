"""How weights are pruned by samples: of several ways, the one after which the model is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from graphprune.calibration.prune import prune
from graphprune.calibration.pruner import PruneResult
from graphprune.calibration.ranges import Feed
from graphprune.calibration.repair import Repair
from graphprune.planning.pruning_plan import PruningPlan


@dataclass(frozen=True)
class Method:
    """A criterion and what is done to the weights that stay.

    Attributes:
        criterion: See `graphprune.masks.criteria`.
        repairs: See `Repair`.
    """

    criterion: str
    repairs: tuple[Repair, ...]

    @property
    def words(self) -> str:
        """What it is called in names of files."""
        repaired = ("repaired",) if self.repairs else ()
        return "-".join((self.criterion, *repaired, *(("damped",) if Repair.DAMPING in self.repairs else ())))

    def options(self) -> str:
        """Return the options of `graphprune prune`, beside a recipe that has the criterion."""
        return f"--repair {','.join(self.repairs)} " if self.repairs else ""

    def applied(self, model: ir.Model, plan: PruningPlan, feeds: Sequence[Feed], resume_in: Path) -> PruneResult:
        """Prune by a plan whose criteria do not matter."""
        entries = tuple(each.model_copy(update={"criterion": self.criterion}) for each in plan.weights)
        chosen = plan.model_copy(update={"weights": entries})
        return prune(model, chosen, feeds, repair=self.repairs, most_samples=len(feeds), resume_in=resume_in)


_FOUR = (Repair.BIAS, Repair.DRIFT, Repair.LEAST_SQUARES, Repair.BATCH_NORM)
_DAMPED = (Repair.BIAS, Repair.DRIFT, Repair.DAMPING, Repair.LEAST_SQUARES, Repair.BATCH_NORM)

METHODS = (
    Method("sparsegpt", _FOUR),
    Method("sparsegpt", _DAMPED),
    Method("magnitude", _DAMPED),
    Method("sparsegpt", ()),
)
"""Those that are tried: none of them is the best on every network (`docs/one-shot.md`)."""
