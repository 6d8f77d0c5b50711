"""Stages: the record in the file."""

import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.stages.stage import Stage, get_stage, set_stage

PLAIN = """
<ir_version: 10, opset_import: ["" : 18]>
main (float[2] x) => (float[2] y) { y = Neg (x) }
"""


def test_a_model_without_a_record_is_dense() -> None:
    assert get_stage(ir.from_onnx_text(PLAIN)) is Stage.DENSE


def test_the_record_survives_serialisation() -> None:
    model = ir.from_onnx_text(PLAIN)
    set_stage(model, Stage.PACKED)
    assert get_stage(ir.from_proto(ir.to_proto(model))) is Stage.PACKED


def test_an_unknown_record_is_refused() -> None:
    model = ir.from_onnx_text(PLAIN)
    model.metadata_props["graphprune.stage"] = "burnt"
    with pytest.raises(UnsupportedModelError, match=r"unknown stage 'burnt' .* \[GP251\]"):
        get_stage(model)
