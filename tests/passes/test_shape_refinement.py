"""Extents that follow from the number of elements, or from what meets in a product."""

import onnx_ir as ir
import pytest

from graphprune.passes.shape_inference import infer_shapes

HEADER = '<ir_version: 10, opset_import: ["" : 18]>\n'


def inferred(text: str) -> dict[str, str]:
    model = ir.from_onnx_text(HEADER + text)
    infer_shapes(model)
    return {str(node.outputs[0].name): str(node.outputs[0].shape) for node in model.graph}


SHAPED = """main (float[N,S,64] x) => (float[a,b,c,d] y) {
    shape = Shape <start = 0, end = 2> (x) heads = Constant <value = int64[2] {%s}> ()
    target = Concat <axis = 0> (shape, heads) r = Reshape (x, target) y = Transpose <perm = [0,2,1,3]> (r) }"""


@pytest.mark.parametrize(("heads", "shape"), [("-1, 16", ",4,16]"), ("4, -1", ",4,16]"), ("4, 16", ",4,16]")])
def test_the_open_extent_of_a_reshape_is_a_quotient(heads: str, shape: str) -> None:
    found = inferred(SHAPED % heads)
    assert found["r"].endswith(shape)
    assert ",4," in found["y"]


def test_what_may_be_anything_stays_open() -> None:
    found = inferred("""main (float[N,S,64] x, int64[3] s) => (float[a,b,c] y) { r = Reshape (x, s) y = Relu (r) }""")
    assert "64" not in found["r"]
    other = """main (float[N,S,64] x, float[M,S,8] z) => (float[a,b,c] y) {
        shape = Shape <start = 0, end = 2> (z) rest = Constant <value = int64[1] {-1}> ()
        target = Concat <axis = 0> (shape, rest) r = Reshape (x, target) y = Relu (r) }"""
    assert "64" not in inferred(other)["r"]


def test_a_product_says_how_many_columns_meet_its_rows() -> None:
    text = """main (float[N,S,4,16] x, int64[3] s, float[64,8] w) => (float[a,b,c] y) {
        r = Reshape (x, s) y = MatMul (r, w) }"""
    assert inferred(text)["r"].endswith(",64]")


def test_one_tuple_of_indices_picks_an_element() -> None:
    text = "main (float[2,3] x, int64[2] i) => (float y) { e = GatherND (x, i) y = Relu (e) }"
    assert inferred(text)["e"] == "[]"
