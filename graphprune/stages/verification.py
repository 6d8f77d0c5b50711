"""What is legal in each stage, and the check of a model against it."""

from __future__ import annotations

import onnx_ir as ir
from onnx import defs

from graphprune.errors import UnsupportedModelError
from graphprune.graph.functions import DOMAIN, PACKED_PREFIX
from graphprune.graph.nodes import all_nodes, describe
from graphprune.masked.calls import verify_mask_calls
from graphprune.packed.calls import verify_packed_calls
from graphprune.stages.stage import Stage, get_stage

_LEGAL_CALLS: dict[Stage, tuple[str, str]] = {
    Stage.DENSE: ("", ""),
    Stage.MASKED: ("", "SoftMask"),
    Stage.SPARSE: ("", ""),
    Stage.PACKED: (PACKED_PREFIX, ""),
}
"""Prefix and suffix of the `graphprune` calls that a stage allows; two empty strings allow none."""


def verify_stage(model: ir.Model) -> None:
    """Check that `model` has only what its stage allows.

    Raises:
        UnsupportedModelError: A call of the domain `graphprune` that the stage does not allow (GP252) or that has no
            function in the model (GP253), a function named like an ONNX operator (GP254), or a packed call (GP350 to
            GP352) or soft mask (GP360 to GP364) that is damaged or of another version.
    """
    stage = get_stage(model)
    for function in model.functions.values():
        _verify_function_name(function)
    for node in all_nodes(model):
        if node.domain == DOMAIN:
            _verify_call(model, node, stage)
    if stage is Stage.PACKED:
        verify_packed_calls(model)
    if stage is Stage.MASKED:
        verify_mask_calls(model)


def _verify_function_name(function: ir.Function) -> None:
    """TVM's importer looks at `op_type` only: a function named like an operator would be taken for that operator."""
    if function.domain == DOMAIN and defs.has(function.name):
        message = f"legal-names: function '{function.name}' has the name of an ONNX operator"
        raise UnsupportedModelError(message, code="GP254")


def _verify_call(model: ir.Model, node: ir.Node, stage: Stage) -> None:
    prefix, suffix = _LEGAL_CALLS[stage]
    allowed = prefix or suffix
    if not (allowed and node.op_type.startswith(prefix) and node.op_type.endswith(suffix)):
        rule = f"only {prefix}…{suffix} calls are" if allowed else "no graphprune call is"
        message = f"legal-calls: {describe(node)}: {rule} legal in stage {stage.value}"
        raise UnsupportedModelError(message, code="GP252")
    if node.op_identifier() not in model.functions:
        message = f"defined-calls: {describe(node)}: the model has no function of that name"
        raise UnsupportedModelError(message, code="GP253")
