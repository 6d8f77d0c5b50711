"""Replace soft masks by exact zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphprune.analysis.constants import replace_constant
from graphprune.diagnostics import Rewrite
from graphprune.errors import PreconditionError
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import describe
from graphprune.masked.calls import MaskCall, is_mask_call, mask_calls
from graphprune.masked.functions import drop_unused_functions
from graphprune.masked.hardening import harden
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.rewriting import drop_unused, graph_of
from graphprune.passes.stage_change import with_stage_change
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class HardenMasks(Pass):
    """Set what each soft mask lets go to zero in its weight, and remove the mask.

    Exactly as many elements go as the budget says, those of the lowest scores and, among equals, of lower index first;
    the others are the weight's own. The report has, a layer: the zeros; the gap, which is the norm of the difference
    between the soft and the hard weight relative to that of the hard one; and the share of undecided weights, those
    whose mask is in (0.01, 0.99).

    Before::

        g (float[N,2] x) => (float[N,2] y) <
            float[2,2] w = {4, -1, 1, 3}, double w_budget = {0.5}, double w_ratio = {1}, float w_temperature = {2}
        > {
            w_masked = graphprune.UnstructuredSoftMask <relative = 0> (w, w_budget, w_ratio, w_temperature)
            y = MatMul (x, w_masked)
        }

    After::

        g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {4, 0, 0, 3}> {
            y = MatMul (x, w)
        }

    Raises: GP366 the ramp of a mask has not ended, GP367 a soft mask is none of graphprune's, GP323 a weight holds NaN
        or an infinity, GP360, GP361, GP362, GP363, GP364 a soft mask is damaged or of another version.

    Attributes:
        force: Harden masks whose ratio is below 1 too, to the whole budget.
    """

    name: ClassVar[str] = "harden-masks"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.MASKED})
    produces: ClassVar[Stage | None] = Stage.SPARSE
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY
    force: bool = False

    def apply(self, model: ir.Model) -> PassOutcome:
        """Replace the tensors of the masked weights and remove the calls."""
        for node in model.graph.all_nodes():
            if node.domain == DOMAIN and not is_mask_call(node):
                raise PreconditionError(f"{self.name}: {describe(node)} is no mask that can be hardened", code="GP367")
        calls = mask_calls(model)
        for call in calls:
            self._verify_ramp(call)
        rewrites = [_harden(call) for call in calls]
        drop_unused_functions(model)
        return PassOutcome(with_stage_change(model, Stage.SPARSE, rewrites))

    def _verify_ramp(self, call: MaskCall) -> None:
        if call.ratio < 1 and not self.force:
            reason = f"its ratio is {call.ratio:g}, expected 1; train on, or harden with force"
            raise PreconditionError(f"{self.name}: the ramp of '{call.name}' has not ended: {reason}", code="GP366")


def _harden(call: MaskCall) -> Rewrite:
    hardened = harden(call)
    replace_constant(call.weight, hardened.array)
    call.node.outputs[0].replace_all_uses_with(call.weight)
    scalars = [value for value in call.node.inputs[1:] if value is not None]
    graph_of(call.node).remove(call.node, safe=True)
    drop_unused(scalars)
    return Rewrite("hard-mask", call.name, str(hardened))
