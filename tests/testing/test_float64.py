"""The float64 twin of a model computes the same function in float64."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from graphprune.passes.shape_inference import infer_shapes
from graphprune.testing.float64 import as_float64, feed_as_float64

HEADER = '<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>'


@pytest.mark.parametrize(
    "text",
    [
        "m (float[2] x) => (float[2] y) <float[2] w = {0.5, 3.0}> { y = Mul (x, w) }",
        "m (float[2] x) => (float[2] y) { c = Constant <value = float[2] {0.5, 3.0}> () y = Mul (x, c) }",
        "m (float[2] x) => (float[2] y) { c = Constant <value_float = 0.5> () y = Mul (x, c) }",
        "m (float[2] x) => (float[2] y) { c = Constant <value_floats = [0.5, 1.5]> () y = Mul (x, c) }",
        "m (float[2] x) => (float[2] y) { i = Cast <to = 6> (x) f = Cast <to = 1> (i) y = Mul (x, f) }",
        "m (float[2] x) => (float[2] y) { s = Shape (x) z = ConstantOfShape (s) y = Add (x, z) }",
        """m (float[2] x) => (float[2] y) {
            s = Shape (x) z = ConstantOfShape <value = float[1] {0.5}> (s) y = Add (x, z) }""",
        """m (float[2] x, bool c) => (float[2] y) { y = If (c) <
            then_branch = t () => (float[2] p) { k = Constant <value_float = 0.5> () p = Mul (x, k) },
            else_branch = e () => (float[2] q) { q = Neg (x) } > }""",
        """m (float[2] x) => (float[2] y) { y = graphprune.Scaled <by = 0.5> (x) }
        <domain: "graphprune", opset_import: ["" : 18]>
        Scaled <by> (a) => (r) { k = Constant <value_float: float = @by> () r = Mul (a, k) }""",
    ],
)
def test_the_twin_is_sound_and_equal(text: str) -> None:
    model = ir.from_onnx_text(HEADER + text)
    twin = as_float64(model)
    infer_shapes(twin)
    feed = {"x": np.array([0.3, -1.7], np.float32), "c": np.ones((), bool)}
    feed = {str(value.name): feed[str(value.name)] for value in model.graph.inputs}
    (narrow,) = list(ReferenceEvaluator(ir.to_proto(model)).run(None, feed))
    (wide,) = list(ReferenceEvaluator(ir.to_proto(twin)).run(None, feed_as_float64(feed)))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, narrow, rtol=1e-6)


def test_the_model_itself_stays_as_it_is() -> None:
    model = ir.from_onnx_text(HEADER + "m (float[2] x) => (float[2] y) <float[2] w = {0.5, 3.0}> { y = Mul (x, w) }")
    before = ir.to_onnx_text(model)
    as_float64(model)
    assert ir.to_onnx_text(model) == before


def test_integers_stay_integers() -> None:
    feed = feed_as_float64({"x": np.zeros(2, np.float32), "i": np.zeros(2, np.int64)})
    assert [feed["x"].dtype, feed["i"].dtype] == [np.float64, np.int64]
