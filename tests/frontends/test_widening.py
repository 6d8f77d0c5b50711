"""bfloat16 as float32: constants keep their values, and nothing of the graph is bfloat16 any more."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.frontends.widening import widen
from graphprune.passes.shape_inference import infer_shapes
from tests.weighted import weight_of, weighted_model

TEXT = """main (bfloat16[N,4] x, bool c, bfloat16[4,3] w, float16[3] w_half) => (bfloat16[N,3] y, float16[3] z) {
    h = MatMul (x, w)
    one = Constant <value: tensor = bfloat16 {16256}> ()
    sum = Add (h, one)
    y = If (c) <
        then_branch = yes () => (bfloat16[N,3] a) { wide = Cast <to = 1> (sum)  a = Cast <to = 16> (wide) },
        else_branch = no () => (bfloat16[N,3] b) { b = Identity (sum) }
    >
    z = Identity (w_half)
}"""


def test_everything_is_float32_then() -> None:
    model = weighted_model(TEXT)
    before = weight_of(model, "w").astype(np.float32)
    infer_shapes(model)
    widen(model)
    infer_shapes(model)  # which is strict: a bfloat16 left somewhere would not fit
    np.testing.assert_array_equal(weight_of(model, "w"), before)
    assert weight_of(model, "w_half").dtype == np.float16
    values = [*model.graph.inputs, *(output for node in model.graph.all_nodes() for output in node.outputs)]
    assert ir.DataType.BFLOAT16 not in {value.dtype for value in values}
    assert model.graph.outputs[0].dtype is ir.DataType.FLOAT
