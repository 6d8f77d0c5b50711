"""Reporting a change of stage where it is the only thing that a pass changed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphprune.diagnostics import Rewrite
from graphprune.stages.stage import Stage, get_stage


def with_stage_change(model: ir.Model, stage: Stage, rewrites: Sequence[Rewrite]) -> tuple[Rewrite, ...]:
    """Return `rewrites`, or the change to `stage` where there are none and the model is in another stage."""
    before = get_stage(model)
    if rewrites or before is stage:
        return tuple(rewrites)
    return (Rewrite("stage", model.graph.name or "model", f"{before} to {stage}"),)
