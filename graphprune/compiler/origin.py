"""What a compiled file says of where it came from."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata

import onnx_ir as ir

from graphprune.analysis.sparsity import weight_counts
from graphprune.analysis.weights import prunable_weights
from graphprune.passes.base import run_pass
from graphprune.passes.fingerprint import digest
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, get_stage
from graphprune_runtime.description import Origin


def origin_of(model: ir.Model) -> Origin:
    """Say what is compiled now: tool, time, the model's name and fingerprint, and the zeros of its prunable weights."""
    plain = run_pass(UnpackWeights(), model).model if get_stage(model) is Stage.PACKED else model
    counts = weight_counts(plain)
    weights = [counts[weight.name] for weight in prunable_weights(plain)[0]]
    return Origin(
        tool=f"graphprune {metadata.version('graphprune')}",
        tvm=metadata.version("apache-tvm"),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.graph.name or "",
        fingerprint=digest(model),
        parameters=sum(each.elements for each in weights),
        zeros=sum(each.zeros for each in weights),
    )
