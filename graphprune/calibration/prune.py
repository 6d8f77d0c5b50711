"""Pruning by what layers multiply on samples, layer by layer, from the first to the last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.calibration.finished import FinishedLayers
from graphprune.calibration.pruner import Pruner, PruneResult
from graphprune.calibration.repair import known_repairs
from graphprune.calibration.samples import SAMPLES, check_varied, take
from graphprune.calibration.streaming.activations import MEMORY
from graphprune.calibration.visiting import run_key, visit_layers
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.graph.arguments import check_model
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.refinement import Refinement, why_not_refined
from graphprune.passes.prune_weights import PruneWeights
from graphprune.planning.pruning_plan import PruningPlan
from graphprune.stages.stage import get_stage


def prune(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    plan: PruningPlan,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    repair: Collection[str] = (),
    refine: str | None = None,
    most_samples: int = SAMPLES,
    memory: int = MEMORY,
    resume_in: Path | None = None,
    on_layer: Callable[[int], None] | None = None,
) -> PruneResult:
    """Prune the weights of a plan by what they multiply on samples; `model` stays untouched.

    Samples go through the model once. They stop in front of each layer, which is pruned by what it multiplies then,
    behind layers that are pruned already.

    Args:
        model: Dense or pruned.
        plan: Of weights, for this model.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        repair: What is done to the weights that stay, see `Repair`.
        refine: What is done to the masks before, see `Refinement`.
        most_samples: How many samples are looked at.
        memory: Bytes of activations that are held in memory; more of them lie in a temporary folder.
        resume_in: A folder for finished layers: a run that was killed goes on behind them. It is not removed.
        on_layer: Called with the number of weights that are done; one counts twice when its block is trained.

    Raises:
        GraphPruneError: Blocks are to be trained, and there is no torch (GP122).
        InputError: Of samples that do not fit (GP512 to GP515, GP567 to GP569) or never vary (GP577), NaN in what a
            layer multiplies (GP581), singular moments (GP582), a full disk (GP584), a folder of another run (GP585), an
            unknown repair (GP586) or refinement (GP590), damping without drift (GP596), too few samples for blocks
            (GP595).
        PreconditionError: The model is masked or packed (GP255).
        RecipeError: The plan is for another model (GP324), or of channels (GP587); a weight holds NaN (GP323), or has a
            pattern whose masks are not refined (GP591).
    """
    check_model("prune", model)
    repairs, refinement = known_repairs(repair), _refinement(refine, plan)
    if (stage := get_stage(model)) not in PruneWeights.consumes:
        raise PreconditionError(f"prune: the model is {stage}, expected dense or sparse", code="GP255")
    feeds = take(samples, tensor_infos(model.graph.inputs), most_samples)
    check_varied(feeds)
    pruner = Pruner(model, plan, repairs, refinement)
    finished = None if resume_in is None else FinishedLayers(resume_in, run_key(plan, repairs, feeds, refinement))
    return visit_layers(pruner, feeds, memory, finished, on_layer)


def _refinement(name: str | None, plan: PruningPlan) -> Refinement | None:
    if name is None:
        return None
    if name not in set(Refinement):
        raise InputError(f"refine is '{name}', expected {' or '.join(Refinement)}", code="GP590")
    for weight in plan.weights:
        if (reason := why_not_refined(parse_pattern(weight.pattern))) is not None:
            raise RecipeError(f"weight '{weight.name}' cannot be refined by {name}: it {reason}", code="GP591")
    return Refinement(name)
