"""The table of legal forms of each stage."""

import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.stages.stage import Stage, set_stage
from graphprune.stages.verification import verify_stage

CALL = """
<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
main (float[2] x) => (float[2] y) { y = graphprune.%s (x) }
%s
"""
FUNCTION = """
<domain: "graphprune", opset_import: ["" : 18]>
%s (a) => (b) { b = Neg (a) }
"""
PLAIN = """
<ir_version: 10, opset_import: ["" : 18]>
main (float[2] x) => (float[2] y) { y = Neg (x) }
"""


def model_with_call(name: str, *, defined: bool = True) -> ir.Model:
    return ir.from_onnx_text(CALL % (name, FUNCTION % name if defined else ""))


@pytest.mark.parametrize("stage", list(Stage))
def test_plain_onnx_is_legal_in_every_stage(stage: Stage) -> None:
    model = ir.from_onnx_text(PLAIN)
    set_stage(model, stage)
    verify_stage(model)


@pytest.mark.parametrize(("stage", "name"), [(Stage.MASKED, "PdpSoftMask"), (Stage.PACKED, "PackedNext")])
def test_a_stage_allows_its_own_calls(stage: Stage, name: str) -> None:
    model = model_with_call(name)
    set_stage(model, stage)
    verify_stage(model)


@pytest.mark.parametrize(
    ("stage", "name", "rule"),
    [
        (Stage.DENSE, "PackedGemm", "no graphprune call is legal in stage dense"),
        (Stage.SPARSE, "PdpSoftMask", "no graphprune call is legal in stage sparse"),
        (Stage.MASKED, "PackedGemm", "only …SoftMask calls are legal in stage masked"),
        (Stage.PACKED, "PdpSoftMask", "only Packed… calls are legal in stage packed"),
    ],
)
def test_a_call_of_another_stage_is_refused_by_node(stage: Stage, name: str, rule: str) -> None:
    model = model_with_call(name)
    set_stage(model, stage)
    with pytest.raises(UnsupportedModelError, match=rf"legal-calls: node 'y' \({name}\): {rule} \[GP252\]"):
        verify_stage(model)


def test_a_call_without_its_function_is_refused() -> None:
    model = model_with_call("PackedGemm", defined=False)
    set_stage(model, Stage.PACKED)
    with pytest.raises(UnsupportedModelError, match=r"defined-calls: node 'y' \(PackedGemm\).* \[GP253\]"):
        verify_stage(model)


def test_a_function_named_like_an_operator_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"function 'Relu' has the name of an ONNX operator \[GP254\]"):
        verify_stage(model_with_call("Relu"))
