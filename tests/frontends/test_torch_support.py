"""Operators that ONNX defines by others, in torch: they compute the same, have gradients, and are refused by name."""

from __future__ import annotations

import pytest

import graphprune as gp
from graphprune.errors import UnsupportedModelError
from tests.frontends.torch_operators.checks import assert_gradients, assert_same
from tests.weighted import weighted_model

HEADER = '<ir_version: 10, opset_import: ["" : 23]>\n'
ATTENTION = """main ({kind}[1,2,3,4] q, {kind}[1,2,5,4] k, {kind}[1,2,5,4] v) => ({kind}[1,2,3,4] y) {{
    y = Attention <scale = 0.5> (q, k, v)
}}"""


def test_attention_is_that_of_onnx_runtime_and_has_gradients() -> None:
    assert_same(weighted_model(HEADER + ATTENTION.format(kind="float")))
    assert_gradients(weighted_model(HEADER + ATTENTION.format(kind="double")))


def test_a_loss_in_the_file_has_gradients() -> None:
    text = """main (double[3,4] x, int64[3] t, double[4,4] w) => (double y) {
        a = MatMul (x, w)
        y = SoftmaxCrossEntropyLoss (a, t)
    }"""
    assert_gradients(weighted_model(text))


def test_further_outputs_of_layer_normalization() -> None:
    text = """main (float[2,6] x, float[6] w) => (float[2,6] y, float[2,1] m, float[2,1] d) {
        y, m, d = LayerNormalization (x, w)
    }"""
    assert_same(weighted_model(text))


def test_an_operator_whose_definition_is_not_supported_is_named_itself() -> None:
    text = """main (float[1,4] x) => (float[1,4] y) { [b] y = Bernoulli (x) }"""
    with pytest.raises(UnsupportedModelError, match=r"^to_torch: 1 operators .*: node 'b' \(Bernoulli\) \[GP130\]$"):
        gp.to_torch(weighted_model(text))
