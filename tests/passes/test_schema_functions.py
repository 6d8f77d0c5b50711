"""ONNX's own definitions of operators: what they replace, what they leave, and that they compute the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.passes.schema_functions import expand_functions, schema_body
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.feeds import random_feed

TEXT = """<ir_version: 10, opset_import: ["" : 18]>
main (float[3,5] x, int64[3] t) => (float y) {
    s = Softsign (x)
    y, p = SoftmaxCrossEntropyLoss (s, t)
}"""


def model() -> ir.Model:
    result = ir.from_onnx_text(TEXT)
    infer_shapes(result)
    return result


def test_a_definition_replaces_the_node_and_computes_the_same() -> None:
    before, after = model(), model()
    kept = {"Softsign", "LogSoftmax", "NegativeLogLikelihoodLoss", "Constant", "Reshape", "Shape", "Transpose"}
    assert expand_functions(after, lambda node: node.op_type in kept, schema_body)
    operators = {node.op_type for node in after.graph}
    assert "SoftmaxCrossEntropyLoss" not in operators
    assert {"Softsign", "LogSoftmax", "NegativeLogLikelihoodLoss"} <= operators
    assert not after.functions
    feed = random_feed(before, 0)
    for mine, theirs in zip(*(session_for(each).run(None, feed) for each in (after, before)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_what_is_written_out_is_called_after_its_node() -> None:
    named = model()
    for node in named.graph:
        node.name = f"my_{node.op_type}"
    kept = {"LogSoftmax", "NegativeLogLikelihoodLoss"}
    expand_functions(named, lambda node: node.op_type in kept, schema_body)
    names = {node.op_type: node.name for node in named.graph}
    assert names["NegativeLogLikelihoodLoss"] == "my_SoftmaxCrossEntropyLoss.NegativeLogLikelihoodLoss"
    assert names["Abs"] == "my_Softsign.Abs"


def test_nothing_changes_where_all_is_supported_or_nothing_is_defined() -> None:
    text = "main (float[4] x) => (int64[1,n] y) { y = NonZero (x) }"
    undefined = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 18]>' + text)
    assert not expand_functions(undefined, lambda _: False, schema_body)
    assert schema_body(undefined, next(iter(undefined.graph))) is None
    supported = model()
    assert not expand_functions(supported, lambda _: True, schema_body)
    assert [node.op_type for node in supported.graph] == ["Softsign", "SoftmaxCrossEntropyLoss"]


def test_a_node_that_onnx_finds_ill_formed_has_no_definition() -> None:
    text = """main (seq(float[n]) x) => (seq(float[n]) y) {
        y = SequenceMap <body = b (float[n] i) => () { o = Neg (i) }> (x) }"""
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 18]>' + text)
    assert schema_body(model, next(iter(model.graph))) is None


def test_a_definition_brings_its_operator_set_to_a_model_that_has_none() -> None:
    text = """main (float[2,4,8,16] q, float[2,4,6,16] k, float[2,4,6,16] v) => (float[2,4,8,16] y) {
        y = ai.onnx.preview.FlexAttention (q, k, v) }"""
    other = ir.from_onnx_text('<ir_version: 13, opset_import: ["ai.onnx.preview" : 1]>' + text)
    while expand_functions(other, lambda node: node.domain == "", schema_body):
        pass
    assert other.opset_imports[""] >= 18
    assert {node.domain for node in other.graph} == {""}
