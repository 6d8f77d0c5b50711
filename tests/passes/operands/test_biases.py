"""Constants go into biases: where they can, what the bias is then, and that the function stays."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.passes import FoldChannels
from graphprune.passes.operands.biases import can_fold, weight_of
from graphprune.testing.check_pass import check_pass
from tests.analysis.channels.test_groups import model_of
from tests.passes.operands.folding import operators
from tests.weighted import weight_of as initializer
from tests.weighted import weighted_model

CONV = "float[1,4,5,5] x, float[2,4,3,3] w, float[2] w_b, float[2] z"
CONVS = {
    "Conv (x, w)": True,
    "Conv (x, w, w_b)": True,
    "Conv <strides = [2,2], dilations = [1,1]> (x, w)": True,
    "Conv <pads = [0,0,0,0]> (x, w)": True,
    "Conv <pads = [0,0,0,1]> (x, w)": False,
    "Conv <pads = [1,0,0,0]> (x, w)": False,
    'Conv <auto_pad = "VALID"> (x, w)': True,
    'Conv <auto_pad = "SAME_UPPER"> (x, w)': False,
    'Conv <auto_pad = "SAME_LOWER"> (x, w)': False,
    "Conv (x, w, z)": False,
    "ConvTranspose (x, w)": False,
    "other.Conv (x, w)": False,
}
MATRIX = (
    "float[2,4] x, float[4,3] w, float[3,4] w_t, float[4] w_v, float[3] w_b, float[2,3] w_c, float[3] z, float[4,3] v"
)
MATRICES = {
    "Gemm (x, w)": True,
    "Gemm (x, w, w_b)": True,
    "Gemm <beta = 0.0> (x, w, w_b)": False,
    "Gemm <beta = 0.5, alpha = 0.0> (x, w, w_b)": True,
    "Gemm (x, w, w_c)": False,
    "Gemm (x, w, z)": False,
    "Gemm (x, v)": False,
    "MatMul (x, w)": True,
    "MatMul (x, w_v)": False,
    "MatMul (x, v)": False,
    "t = Transpose (w_t) MatMul (x, t)": True,
    "t = Transpose (v) MatMul (x, t)": False,
    "t = Neg (w) MatMul (x, t)": False,
    "t = other.Transpose (w_t) MatMul (x, t)": False,
}


@pytest.mark.parametrize(
    ("declared", "body", "expected"),
    [(CONV, body, can) for body, can in CONVS.items()] + [(MATRIX, body, can) for body, can in MATRICES.items()],
)
def test_where_constants_can_be_folded(declared: str, body: str, expected: bool) -> None:  # noqa: FBT001
    before, _, last = body.rpartition(") ") if ") " in body else ("", "", body)
    text = f"main ({declared}) => (float[A,B] y) {{ {before}{')' if before else ''} y = {last} }}"
    model = weighted_model(f'<ir_version: 10, opset_import: ["" : 20, "other" : 1]> {text}')
    assert can_fold(model.graph.node(-1)) is expected


def test_a_grouped_convolution_takes_nothing() -> None:
    text = "main (float[1,4,5,5] x, float[2,2,3,3] w) => (float[1,2,3,3] y) { y = Conv <group = 2> (x, w) }"
    assert not can_fold(weighted_model(text).graph.node(0))


def test_the_weight_behind_a_transpose_is_the_one_that_is_multiplied() -> None:
    text = """main (float[2,4] x, float[3,4] w, float[4,3] v) => (float[2,3] y, float[2,3] z) {
        a = Transpose (w) y = MatMul (x, a) b = Transpose <perm = [1,0]> (w) z = MatMul (x, b) }"""
    model = weighted_model(text)
    for index in (1, 3):
        found = weight_of(model.graph.node(index))
        assert found is not None
        np.testing.assert_array_equal(found, initializer(model, "w").T)


def sigmoid(read: str, weights: str, rows: str = "N") -> str:
    """A product `h` of 4 channels, and what reads its Sigmoid `s`."""
    return f"""main (float[{rows},3] x, float[3,4] wa, {weights}) => (float[{rows},2] y) {{
        h = MatMul (x, wa) s = Sigmoid (h) {read} }}"""


MADE = {
    # what reads the constant 0.5 of two channels, its weights, and the bias then, of weights that are all 1
    "a product": ("y = MatMul (s, wb)", "float[4,2] wb", {"y_bias": 1.0}),
    "a product of a transposed weight": ("t = Transpose (wb) y = MatMul (s, t)", "float[2,4] wb", {"y_bias": 1.0}),
    "Gemm": ("y = Gemm (s, wb)", "float[4,2] wb", {"y_bias": 1.0}),
    "Gemm with a factor": ("y = Gemm <alpha = 3.0> (s, wb)", "float[4,2] wb", {"y_bias": 3.0}),
    "Gemm of a transposed weight": ("y = Gemm <transB = 1> (s, wb)", "float[2,4] wb", {"y_bias": 1.0}),
    "Gemm with a bias": ("y = Gemm <alpha = 3.0> (s, wb, wc)", "float[4,2] wb, float[2] wc", {"y_bias": 4.0}),
    "Gemm with a factor of the bias": (
        "y = Gemm <alpha = 3.0, beta = 2.0> (s, wb, wc)", "float[4,2] wb, float[2] wc", {"y_bias": 2.5}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("read", "weights", "expected"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("kind", ["float", "double"])
def test_what_is_read_of_constants_goes_into_the_bias(
    read: str, weights: str, expected: dict[str, float], kind: str
) -> None:
    model = model_of(sigmoid(read, weights).replace("float", kind))
    for name in model.graph.initializers:
        initializer(model, name)[...] = 1
    initializer(model, "wa")[:, [1, 2]] = 0
    left = check_pass(FoldChannels(), model).model
    assert initializer(left, "wa").shape == (3, 2)
    for name, value in expected.items():
        np.testing.assert_allclose(initializer(left, name), [value, value], rtol=1e-6)
        assert initializer(left, name).dtype == initializer(model, "wa").dtype


def test_a_convolution_adds_up_its_kernel() -> None:
    text = """main (float[1,3,5,5] x, float[4,3,1,1] wa, float[2,4,3,2] wb, float[2] wc) => (float[1,2,A,B] y) {
        h = Conv (x, wa) s = Sigmoid (h) y = Conv (s, wb, wc) }"""
    model = model_of(text)
    initializer(model, "wa")[[0, 3]] = 0
    weight, bias = initializer(model, "wb"), initializer(model, "wc")
    left = check_pass(FoldChannels(), model).model
    expected = bias + 0.5 * weight[:, [0, 3]].sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(initializer(left, "y_bias"), expected, rtol=1e-6)
    assert "wc" not in left.graph.initializers


def test_a_bias_loses_what_its_outputs_lose() -> None:
    """Of the second layer the third channel goes as well: it is constant, for all that it reads is."""
    for read, last in (("h2 = MatMul (s, wb)", "wc"), ("h2 = Gemm (s, wb)", "wc"), ("h2 = Gemm (s, wb, wd)", "wc")):
        text = sigmoid(f"{read} r = Relu (h2) y = MatMul (r, wc)", "float[4,5] wb, float[5] wd, float[5,2] wc")
        model = model_of(text)
        initializer(model, "wa")[:, [1, 2]] = 0
        initializer(model, "wb")[[0, 3], 2] = 0
        left = check_pass(FoldChannels(), model).model
        assert initializer(left, "h2_bias").shape == (4,)
        assert initializer(left, last).shape == (4, 2)


def test_the_bias_of_a_product_is_added_behind_it() -> None:
    model = model_of(sigmoid("y = MatMul (s, wb)", "float[4,2] wb", rows="2,3"))
    initializer(model, "wa")[:, 1] = 0
    left = check_pass(FoldChannels(), model).model
    assert operators(left) == ["MatMul", "Sigmoid", "MatMul", "Add"]
    np.testing.assert_allclose(initializer(left, "y_bias"), 0.5 * initializer(model, "wb")[1], rtol=1e-6)
