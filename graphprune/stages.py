"""The stages a model goes through, and what is legal in each.

The stage is stored in the model's `metadata_props`, so a file knows what it is. `verify_stage` checks a model against
the table of its stage and names the invariant and the node that breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import onnx_ir as ir
from onnx import defs

from graphprune.errors import UnsupportedModelError

DOMAIN = "graphprune"
"""Domain of graphprune's model-local functions."""

STAGE_KEY = "graphprune.stage"
"""Key of the stage in a model's `metadata_props`."""


class Stage(StrEnum):
    """How far a model has come; the values are what is stored in the file."""

    DENSE = "dense"
    MASKED = "masked"
    SPARSE = "sparse"
    PACKED = "packed"


_LEGAL_CALLS: dict[Stage, tuple[str, str]] = {
    Stage.DENSE: ("", ""),
    Stage.MASKED: ("", "SoftMask"),
    Stage.SPARSE: ("", ""),
    Stage.PACKED: ("Packed", ""),
}
"""Prefix and suffix of the `graphprune` calls that a stage allows; two empty strings allow none."""


def get_stage(model: ir.Model) -> Stage:
    """Return the stage recorded in `model`; a model without a record is `DENSE`.

    Raises:
        UnsupportedModelError: The record is none of the stages (GP251).
    """
    text = model.metadata_props.get(STAGE_KEY, Stage.DENSE.value)
    try:
        return Stage(text)
    except ValueError:
        known = ", ".join(stage.value for stage in Stage)
        raise UnsupportedModelError(
            f"unknown stage {text!r} in the model, expected one of {known}", code="GP251"
        ) from None


def set_stage(model: ir.Model, stage: Stage) -> None:
    """Record `stage` in `model`."""
    model.metadata_props[STAGE_KEY] = stage.value


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
        from graphprune.packed.calls import verify_packed_calls  # which builds on this module

        verify_packed_calls(model)
    if stage is Stage.MASKED:
        from graphprune.masked.calls import verify_mask_calls  # likewise

        verify_mask_calls(model)


def all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield every node of the graph, of its subgraphs and of the functions."""
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def describe(node: ir.Node) -> str:
    """Return how messages call `node`: its name (or first output), and its operator."""
    name = node.name or next((value.name for value in node.outputs if value.name), "") or "?"
    return f"node '{name}' ({node.op_type})"


def is_packed(node: ir.Node) -> bool:
    """Return whether `node` is a call that only the stage `PACKED` allows."""
    return node.domain == DOMAIN and node.op_type.startswith(_LEGAL_CALLS[Stage.PACKED][0])


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
