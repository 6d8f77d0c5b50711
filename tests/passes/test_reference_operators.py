"""The operators that onnx's reference evaluator gets wrong, against ONNX Runtime."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.passes.reference import reference_evaluator

HEADER = '<ir_version: 10, opset_import: ["" : 18]>'


def both(text: str, feed: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    model = ir.from_onnx_text(HEADER + text)
    results = reference_evaluator(ir.to_proto(model)).run(None, feed)
    assert isinstance(results, list)
    return np.asarray(results[0]), session_for(model, optimize=False).run(None, feed)[0]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", ["", ", b"])
def test_grouped_transposed_convolution(group: int, bias: str) -> None:
    rng = np.random.default_rng(0)
    shapes = {"x": (2, 4, 5, 4), "w": (4, 3, 3, 2), "b": (3 * group,)}
    feed = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    text = f"""g (float[2,4,5,4] x, float[4,3,3,2] w, float[{3 * group}] b) => (float[n,c,h,v] y) {{
        a = Abs (b) y = ConvTranspose <group = {group}, strides = [2, 1], pads = [1, 0, 0, 1]> (x, w{bias}) }}"""
    mine, theirs = both(text, feed)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("operands", ["x, s", "x, s, z", "x, t, u"])
def test_dequantization_of_operator_sets_before_19(operands: str) -> None:
    feed = {
        "x": np.arange(-60, 60, dtype=np.int8).reshape(3, 40),
        "s": np.float32(0.3) * np.arange(1, 41, dtype=np.float32),
        "z": np.arange(40).astype(np.int8),
        "t": np.array([0.7], np.float32),
        "u": np.array([-3], np.int8),
    }
    text = f"""g (int8[3,40] x, float[40] s, int8[40] z, float[1] t, int8[1] u) => (float[3,40] y) {{
        y = DequantizeLinear ({operands}) }}"""
    mine, theirs = both(text, feed)
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("axis", "shape"), [(1, (1, 128)), (0, (3, 40)), (-1, (1, 7)), (-2, (50, 2))])
def test_gather_elements_of_many(axis: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 64)).astype(np.float32)
    feed: dict[str, np.ndarray] = {"x": data, "i": rng.integers(-data.shape[axis], data.shape[axis], shape)}
    text = f"g (float[3,64] x, int64[n,k] i) => (float[n,k] y) {{ y = GatherElements <axis = {axis}> (x, i) }}"
    mine, theirs = both(text, feed)
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("values", [[0, -0.0, 0], [1, -2, 0.3], [4, 5, 6], [-4, -5, -6]])
def test_dynamic_quantization(values: list[float]) -> None:
    text = "g (float[3] x) => (uint8[3] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear (x) }"
    model = ir.from_onnx_text(HEADER + text)
    feed = {"x": np.array(values, np.float32)}
    mine, theirs = (
        reference_evaluator(ir.to_proto(model)).run(None, feed),
        session_for(model, optimize=False).run(None, feed),
    )
    for one, other in zip(mine, theirs, strict=True):
        assert (np.asarray(one).dtype, np.asarray(one).shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 2, -2, np.finfo(np.float32).max], np.float32)


def test_a_slope_is_of_negative_numbers_alone() -> None:
    x, slope = (each.ravel() for each in np.meshgrid(SPECIAL, SPECIAL))
    mine, theirs = both("g (float[64] x, float[64] s) => (float[64] y) { y = PRelu (x, s) }", {"x": x, "s": slope})
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("limits", ["", ", l", ", , l", ", l, h"])
def test_a_limit_that_is_absent_is_the_last_finite_number(limits: str) -> None:
    feed = {"x": SPECIAL, "l": np.array(-1, np.float32), "h": np.array(1, np.float32)}
    mine, theirs = both(f"g (float[8] x, float l, float h) => (float[8] y) {{ y = Clip (x{limits}) }}", feed)
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("axis", ["", "<axis = 0>", "<axis = -2>"])
def test_one_hot_of_values_whose_difference_rounds(axis: str) -> None:
    feed = {
        "i": np.array([[0, 2, -1], [7, -4, -5]]),
        "d": np.array(4, np.int64),
        "v": np.array([1e8, 3e-3], np.float32),
    }
    mine, theirs = both(
        f"g (int64[2,3] i, int64 d, float[2] v) => (float[a,b,c] y) {{ y = OneHot {axis} (i, d, v) }}", feed
    )
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("batch", "size"), [(1, 5), (3, 3)])
def test_normalisation_over_neighbouring_channels(batch: int, size: int) -> None:
    feed = {"x": np.random.default_rng(0).standard_normal((batch, 7, 4, 3)).astype(np.float32)}
    text = f"""g (float[{batch},7,4,3] x) => (float[{batch},7,4,3] y) {{
        y = LRN <size = {size}, alpha = 0.5, beta = 0.6, bias = 1.5> (x) }}"""
    mine, theirs = both(text, feed)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)
