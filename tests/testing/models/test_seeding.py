"""Seeded weights: reproducible, of the right scale, nothing else touched."""

import math

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.testing.models.seeding import placeholder, seed_weights
from tests.weighted import weight_of, weighted_model


def seeded(text: str, seed: int = 0) -> ir.Model:
    model = weighted_model(text)
    seed_weights(model, seed)
    return model


CONV = "g (float[1,16,8,8] x, float[64,16,3,3] w, float[64] w_bias) => (float[1,64,6,6] y) { y = Conv(x, w, w_bias) }"
GEMM = "g (float[1,64] x, float[64,32] w) => (float[1,32] y) { y = Gemm(x, w) }"
GEMM_T = "g (float[1,64] x, float[32,64] w) => (float[1,32] y) { y = Gemm <transB = 1> (x, w) }"
MATMUL = "g (float[1,64] x, float[64,32] w) => (float[1,32] y) { y = MatMul(x, w) }"
MATMUL_T = "g (float[1,64] x, float[32,64] w) => (float[1,32] y) { t = Transpose <perm = [1,0]> (w) y = MatMul(x, t) }"


@pytest.mark.parametrize(
    ("text", "deviation"),
    [
        (CONV, math.sqrt(2 / 144)),
        (GEMM, math.sqrt(2 / 64)),
        (GEMM_T, math.sqrt(2 / 64)),
        (MATMUL, math.sqrt(1 / 64)),
        (MATMUL_T, math.sqrt(1 / 64)),
    ],
)
def test_matrices_keep_the_scale_of_what_passes(text: str, deviation: float) -> None:
    weight = weight_of(seeded(text), "w")
    assert weight.dtype == np.float32
    assert weight.std() == pytest.approx(deviation, rel=0.05)
    assert abs(weight.mean()) < deviation / 10


def test_a_weight_depends_on_the_seed_and_its_name_alone() -> None:
    first = weight_of(seeded(CONV), "w")
    np.testing.assert_array_equal(weight_of(seeded(CONV.replace("w_bias", "w_other")), "w"), first)
    assert not np.array_equal(weight_of(seeded(CONV, seed=1), "w"), first)
    assert not np.array_equal(weight_of(seeded(CONV.replace(" w,", " w2,").replace(" w,", " w2,")), "w2"), first)


def test_scales_lie_around_one_and_shifts_around_zero() -> None:
    model = seeded(
        "g (float[4,64] x, float[64] w1, float[64] w0) => (float[4,64] y) { y = LayerNormalization(x, w1, w0) }"
    )
    scale, shift = weight_of(model, "w1"), weight_of(model, "w0")
    assert (scale.min() >= 0.8, scale.max() <= 1.2) == (True, True)
    assert abs(shift.mean()) < 0.1
    assert 0.05 < shift.std() < 0.2


def test_filled_weights_become_initializers() -> None:
    text = "g (float[1,8] x, int64[2] wshape) => (float[1,4] y) { w = ConstantOfShape(wshape) y = MatMul(x, w) }"
    model = weighted_model(text, {"wshape": np.array([8, 4])})
    seed_weights(model)
    assert list(model.graph.initializers) == ["w"]
    assert weight_of(model, "w").shape == (8, 4)
    assert [node.op_type for node in model.graph] == ["MatMul"]


def test_a_filled_value_that_is_an_output_stays() -> None:
    text = "g (int64[1] x) => (float[N] y) { y = ConstantOfShape(x) }"
    assert [node.op_type for node in seeded(text).graph] == ["ConstantOfShape"]


def test_what_is_no_weight_stays() -> None:
    text = """g (float[2,4] x, float[1] wmin, int64[2] wshape, float w) => (float[4,2] y)
    { a = Pow(x, wmin) b = Mul(a, w) y = Reshape(b, wshape) }"""
    model = weighted_model(text, {"wshape": np.array([4, 2]), "w": np.array(3, np.float32)})
    before = {name: value.const_value for name, value in model.graph.initializers.items()}
    seed_weights(model)
    assert {name: value.const_value for name, value in model.graph.initializers.items()} == before


def test_tensors_are_replaced_and_never_written() -> None:
    model = weighted_model(MATMUL)
    before = weight_of(model, "w").copy()
    shared = model.clone()
    seed_weights(model)
    np.testing.assert_array_equal(weight_of(shared, "w"), before)


def test_a_placeholder_has_its_shape() -> None:
    value = placeholder("w", 2, 3)
    assert (value.name, value.shape, value.dtype) == ("w", ir.Shape((2, 3)), ir.DataType.FLOAT)


def test_gates_and_transposed_convolutions_keep_the_scale_of_what_they_read() -> None:
    text = """main (
            float[5,1,64] x, float[1,256,64] w_in, float[1,256,64] w_on, float[1,32,8,8] z, float[32,16,4,4] w_up
        ) => (float[5,1,1,64] y, float[1,16,18,18] u) {
        y = LSTM <hidden_size = 64> (x, w_in, w_on) u = ConvTranspose <strides = [2,2]> (z, w_up) }"""
    model = seeded(text)
    gates, up = weight_of(model, "w_in"), weight_of(model, "w_up")
    assert gates.std() == pytest.approx((1 / 64) ** 0.5, rel=0.05)
    assert up.std() == pytest.approx((2 / (32 * 16 / 4)) ** 0.5, rel=0.05)
