"""The stages a model goes through. A file knows its own: it is stored in the model's `metadata_props`."""

from __future__ import annotations

from enum import StrEnum

import onnx_ir as ir

from graphprune.errors import UnsupportedModelError

STAGE_KEY = "graphprune.stage"
"""Key of the stage in a model's `metadata_props`."""


class Stage(StrEnum):
    """How far a model has come; the values are what is stored in the file."""

    DENSE = "dense"
    MASKED = "masked"
    SPARSE = "sparse"
    PACKED = "packed"


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
