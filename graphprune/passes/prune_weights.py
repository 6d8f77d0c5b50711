"""Set weights to zero as a plan says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import replace_constant
from graphprune.analysis.weights import LinearWeight
from graphprune.diagnostics import Rewrite, Skip
from graphprune.masks.criteria import WeightValues, parse_criterion
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.selection import Mask
from graphprune.passes.base import Equivalence, PassOutcome
from graphprune.passes.plan_option import PlanPass
from graphprune.passes.stage_change import with_stage_change
from graphprune.planning.pruning_plan import WeightPlan
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class PruneWeights(PlanPass):
    """Set the lowest-scoring elements of each planned weight to zero, exactly as many as the plan says.

    Among elements of equal score, those of lower index go first. Zeros that are already there count, and a weight that
    has enough of them stays as it is. A shared weight is pruned once. Of a quantized weight, integers become the zero
    point, those first that stand for the least magnitude. In text form the plan is JSON, or the name of a
    file that holds it.

    Run: prune-weights{plan={"model":"b3b7e160198676cf","weights":[{"name":"w","shape":[2,2],"output_axis":1,"input_axis":0,"sparsity":0.5}]}}

    Before::

        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {4, -1, 1, 3}> {
            y = MatMul (x, w)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {4, 0, 0, 3}> {
            y = MatMul (x, w)
        }

    Raises: GP323 a weight holds NaN or an infinity, GP324 the plan was made for another model,
        GP243 the option is no plan.
    Refuses: GP335 the weight already has as many zeros as the plan asks for.
    """  # noqa: E501 - the text form of a plan

    name: ClassVar[str] = "prune-weights"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    produces: ClassVar[Stage | None] = Stage.SPARSE
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY

    def apply(self, model: ir.Model) -> PassOutcome:
        """Replace the tensors of the planned weights."""
        rewrites: list[Rewrite] = []
        skips: list[Skip] = []
        for planned, weight in self.plan.resolve(model):
            array = weight.real_values()
            zeros = array.size - int(np.count_nonzero(array))
            keep = _kept(planned, array)
            if zeros >= planned.pruned:
                reason = f"has {zeros} zeros of {array.size} already, the plan asks for {planned.pruned}"
                skips.append(Skip("GP335", weight.name, reason))
                continue
            replace_constant(weight.value, weight.zeroed(keep))
            rewrites.append(_rewrite(planned, weight))
        return PassOutcome(with_stage_change(model, Stage.SPARSE, rewrites), tuple(skips))


def _kept(planned: WeightPlan, array: npt.NDArray[Any]) -> Mask:
    scores = parse_criterion(planned.criterion).score(WeightValues(planned.name, array))
    return parse_pattern(planned.pattern).keep_mask(scores, planned.axes, planned.pruned)


def _rewrite(planned: WeightPlan, weight: LinearWeight) -> Rewrite:
    share = planned.pruned / weight.tensor.size
    detail = f"{planned.pruned} of {weight.tensor.size} elements set to zero ({share:.1%}, {planned.pattern})"
    return Rewrite(planned.criterion, weight.name, detail)
