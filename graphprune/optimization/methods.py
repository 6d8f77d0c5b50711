"""How weights are pruned by samples: of several ways, the one after which the model is the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.prune import prune
from graphprune.calibration.pruner import PruneResult
from graphprune.calibration.ranges import Feed
from graphprune.calibration.repair import Repair
from graphprune.masks.channel_criteria import FLAP
from graphprune.optimization.search import Search
from graphprune.planning.documents import Document
from graphprune.planning.pruning_plan import PruningPlan


class Method(Document):
    """A criterion and what is done to the weights that stay.

    Attributes:
        criterion: See `graphprune.masks.criteria`, and of channels `graphprune.masks.channel_criteria`.
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


def best_method(
    search: Search, family: str, file: str, methods: Sequence[Method], pruned: Callable[[Method], ir.Model]
) -> Method:
    """Return the method after which the metric says that models are best, in float32 in ONNX Runtime.

    Args:
        search: What was found by an earlier run is taken from there.
        family: What is pruned, in words.
        file: The same in names of files.
        methods: To choose from.
        pruned: Returns the model by a method.
    """

    def quality(method: Method) -> float:
        search.say(f"{family}: trying {method.words}")
        return search.bench.metric.of(session_for(pruned(method), search.bench.threads))

    return search.work.finished(f"{file}-method", Method, lambda: max(methods, key=quality))


_FOUR = (Repair.BIAS, Repair.DRIFT, Repair.LEAST_SQUARES, Repair.BATCH_NORM)
_DAMPED = (Repair.BIAS, Repair.DRIFT, Repair.DAMPING, Repair.LEAST_SQUARES, Repair.BATCH_NORM)

METHODS = (
    Method(criterion="sparsegpt", repairs=_FOUR),
    Method(criterion="sparsegpt", repairs=_DAMPED),
    Method(criterion="magnitude", repairs=_DAMPED),
    Method(criterion="sparsegpt", repairs=()),
)
"""Those that are tried: none of them is the best on every network (`docs/one-shot.md`)."""

CHANNEL_METHODS = (Method(criterion=FLAP, repairs=_FOUR), Method(criterion=FLAP, repairs=_DAMPED))
"""Those that are tried of whole channels."""
