"""The normalisation as a whole, on the models that come with onnx."""

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from graphprune.frontends.onnx_file import load
from graphprune.passes.normalize import NORMALIZE, normalize
from graphprune.passes.pipeline import parse_pipeline

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def operators(model: ir.Model) -> set[str]:
    return {node.op_type for node in model.graph}


def test_its_text_form() -> None:
    assert str(NORMALIZE) == "fold-constants,remove-identities,fold-batch-norm"
    assert parse_pipeline(str(NORMALIZE)) == NORMALIZE


def test_each_pass_prepares_the_next() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]>
    g (float[1,1,2,2] x) => (float[1,1,2,2] y) <float[1,1,1,1] w = {2}, float[1] one = {1}, float[1] v = {3}> {
        z = Conv (x, w)
        d = Dropout (z)
        s = Sqrt (one)
        y = BatchNormalization <epsilon = 1.0> (d, s, one, one, v)
    }"""
    result = normalize(ir.from_onnx_text(text))
    assert [node.op_type for node in result.model.graph] == ["Conv"]
    assert result.skips == ()


@pytest.mark.parametrize("name", ["light_resnet50", "light_squeezenet"])
def test_real_graphs_lose_what_is_constant(name: str) -> None:
    result = normalize(load(LIGHT / f"{name}.onnx"))
    assert not operators(result.model) & {"BatchNormalization", "Constant", "ConstantOfShape", "Dropout", "Identity"}
    again = normalize(result.model)
    assert not again.changed
