"""How fast a pruned model could be at most."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.analysis.cost import model_cost
from graphprune.backends.tvm.building.roofline import Roofline
from graphprune.passes import PackWeights
from graphprune.passes.base import run_pass
from graphprune.passes.normalize import normalize


def limit_ms(model: ir.Model, peak: Roofline) -> float | None:
    """The time of the multiply-adds by nonzeros at the machine's peak; None where an operator's are not known.

    Bytes are left out: a weight is read once a run and used many times, so that they count for less than a tenth.
    """
    packed = run_pass(PackWeights(layout="rows", min_sparsity=0), normalize(model).model).model
    macs = model_cost(packed).macs
    return None if macs is None else 1e3 * peak.least_seconds("dense", 2 * macs, 0, peak.memory)
