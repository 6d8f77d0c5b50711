"""Operators that take the generic route, by themselves or for types and ranks that the fast kernels leave out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from graphprune.errors import BackendError, UnsupportedModelError
from tests.backends.tvm.graphs import Initializer, assert_equal_on, compile_, kernels, parse

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Normal float32 values."""
    return RNG.standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[str, dict[str, Initializer], dict[str, np.ndarray]]] = {
    "weights at run time, groups, strides": (
        """g (float[2,4,9,9] x, float[6,2,3,3] w, float[6] b) => (float[2,6,5,5] y) {
            c = Conv<pads=[1,1,1,1],group=2,strides=[2,2]>(x,w,b)
            y = Relu(c) }""",
        {},
        {"x": normal(2, 4, 9, 9), "w": normal(6, 2, 3, 3), "b": normal(6)},
    ),
    "three spatial axes, and a region behind": (
        """g (float[1,4,5,9,20] x) => (float[1,6,5,9,20] y) {
            c = Conv<pads=[1,1,1,1,1,1]>(x,w,b)
            r = Relu(c)
            y = Mul(r,c) }""",
        {"w": (6, 4, 3, 3, 3), "b": (6,)},
        {"x": normal(1, 4, 5, 9, 20)},
    ),
    "transposed, with everything": (
        """g (float[1,4,5,6] x) => (float[1,6,13,19] y) {
            y = ConvTranspose<strides=[2,3],pads=[1,1,0,1],output_padding=[1,1],dilations=[2,2],group=2>(x,w,b) }""",
        {"w": (4, 3, 3, 3), "b": (6,)},
        {"x": normal(1, 4, 5, 6)},
    ),
    "transposed, a channel a group": (
        "g (float[2,5,8] x) => (float[2,5,17] y) { y = ConvTranspose<strides=[2],group=5>(x,w) }",
        {"w": (5, 1, 3)},
        {"x": normal(2, 5, 8)},
    ),
    "transposed to a given shape": (
        "g (float[1,2,5,6] x) => (float[1,3,10,12] y) { y = ConvTranspose<strides=[2,2],output_shape=[10,12]>(x,w) }",
        {"w": (2, 3, 3, 3)},
        {"x": normal(1, 2, 5, 6)},
    ),
    "transposed to input times stride, with more at the end": (
        """g (float[1,2,4,5] x) => (float[1,3,8,10] y, float[1,3,8,10] z) {
            y = ConvTranspose<strides=[2,2],output_padding=[1,1],auto_pad="SAME_UPPER">(x,w)
            z = ConvTranspose<strides=[2,2],output_padding=[1,1],auto_pad="SAME_LOWER">(x,w) }""",
        {"w": (2, 3, 3, 3)},
        {"x": normal(1, 2, 4, 5)},
    ),
    "a region of which nothing is resized": (
        """g (float[1,2,4,5] x) => (float[1,2,4,5] y, float[1,2,4,10] z) {
            y = Resize<coordinate_transformation_mode="tf_crop_and_resize",mode="linear">(x,r,,s)
            z = Resize<coordinate_transformation_mode="tf_crop_and_resize",mode="linear">(x,r,,t) }""",
        {
            "r": np.array([0, 0, 0.1, 0, 1, 1, 0.7, 1], np.float32),
            "s": np.array([1, 2, 4, 5]),
            "t": np.array([1, 2, 4, 10]),
        },
        {"x": normal(1, 2, 4, 5)},
    ),
    "products of doubles with broadcast batches": (
        "g (double[2,1,3,4] x, double[5,4,6] w) => (double[2,5,3,6] y) { y = MatMul(x,w) }",
        {},
        {"x": normal(2, 1, 3, 4).astype(np.float64), "w": normal(5, 4, 6).astype(np.float64)},
    ),
    "products of integers, with vectors": (
        "g (int32[3,4] x, int32[4] v) => (int32[3] y, int32 z) { y = MatMul(x,v)\n z = MatMul(v,v) }",
        {},
        {"x": RNG.integers(-9, 9, (3, 4)).astype(np.int32), "v": RNG.integers(-9, 9, 4).astype(np.int32)},
    ),
    "matrices at run time, transposed and scaled": (
        """g (float[4,3] x, float[6,4] w, float[6] c) => (float[3,6] y) {
            y = Gemm<transA=1,transB=1,alpha=0.5,beta=2.0>(x,w,c) }""",
        {},
        {"x": normal(4, 3), "w": normal(6, 4), "c": normal(6)},
    ),
    "einsum with an ellipsis and a diagonal": (
        """g (float[2,3,4,5] x, float[2,1,5,6] z, float[4,4] s) => (float[2,3,4,6] y, float d, float[2,5,3,4] t) {
            y = Einsum<equation="...ij,...jk->...ik">(x,z)
            d = Einsum<equation="ii->">(s)
            t = Einsum<equation="abcd->adbc">(x) }""",
        {},
        {"x": normal(2, 3, 4, 5), "z": normal(2, 1, 5, 6), "s": normal(4, 4)},
    ),
    "determinants": (
        "g (float[5,3,3] x, float[2,2] z) => (float[5] y, float d) { y = Det(x)\n d = Det(z) }",
        {},
        {"x": normal(5, 3, 3), "z": normal(2, 2)},
    ),
    "largest elements and where they were": (
        """g (float[2,3,7,8] x) => (float[2,3,4,4] y, int64[2,3,4,4] i) {
            y, i = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,0]>(x) }""",
        {},
        {"x": normal(2, 3, 7, 8)},
    ),
    "poolings over three axes": (
        """g (float[1,2,6,7,8] x) => (float[1,2,3,3,4] y, float[1,2,3,3,4] z) {
            y = MaxPool<kernel_shape=[2,2,2],strides=[2,2,2]>(x)
            z = AveragePool<kernel_shape=[2,2,2],strides=[2,2,2]>(x) }""",
        {},
        {"x": normal(1, 2, 6, 7, 8)},
    ),
    "triangles": (
        """g (float[2,5,6] x) => (float[2,5,6] u, float[2,5,6] l, float[2,5,6] d) {
            u = Trilu(x)
            l = Trilu<upper=0>(x)
            d = Trilu(x,k) }""",
        {"k": np.array(-2)},
        {"x": normal(2, 5, 6)},
    ),
    "one hot with indices outside": (
        "g (int64[2,3] i, float[2] v) => (float[2,5,3] y) { y = OneHot<axis=1>(i,d,v) }",
        {"d": np.array(5)},
        {"i": np.array([[0, 4, -1], [5, -6, 2]]), "v": np.array([0.5, 2], np.float32)},
    ),
    "sequences reversed in part": (
        "g (float[4,3,2] x, int64[3] n) => (float[4,3,2] y) { y = ReverseSequence(x,n) }",
        {},
        {"x": normal(4, 3, 2), "n": np.array([1, 4, 3])},
    ),
    "regions of interest": (
        """g (float[2,3,9,9] x, float[4,4] r, int64[4] i) => (float[4,3,3,2] y) {
            y = RoiAlign<output_height=3,output_width=2,sampling_ratio=2,spatial_scale=0.5>(x,r,i) }""",
        {},
        {
            "x": normal(2, 3, 9, 9),
            "r": np.array([[0, 0, 9, 9], [2, 2, 16, 17], [1, 0, 4, 3], [-3, 2, 30, 30]], np.float32),
            "i": np.array([0, 1, 1, 0]),
        },
    ),
    "samples on a grid": (
        """g (float[1,2,5,6] x, float[1,3,4,2] i) => (float[1,2,3,4] a, float[1,2,3,4] b, float[1,2,3,4] c) {
            a = GridSample(x,i)
            b = GridSample<mode="nearest",padding_mode="border">(x,i)
            c = GridSample<align_corners=1,padding_mode="reflection">(x,i) }""",
        {},
        {"x": normal(1, 2, 5, 6), "i": (RNG.random((1, 3, 4, 2)) * 2.6 - 1.3).astype(np.float32)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_as_onnx_runtime(name: str) -> None:
    text, constants, feed = CASES[name]
    assert_equal_on(feed, parse(text, constants, opset=18 if "grid" not in name else 20), 2e-5, 2e-5)


def test_convolution_of_doubles() -> None:
    text = "g (double[1,1,9,9] x, double[1,1,3,3] w) => (double[1,1,7,7] y) { y = Conv(x,w) }"
    feed = {name: RNG.standard_normal(shape) for name, shape in (("x", (1, 1, 9, 9)), ("w", (1, 1, 3, 3)))}
    expected = scipy.signal.correlate2d(feed["x"][0, 0], feed["w"][0, 0], "valid")
    np.testing.assert_allclose(compile_(parse(text)).run(None, feed)[0][0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(kind: str) -> None:
    text = f"""g ({kind}[1,3,8,8] x, {kind}[8,10] w) => ({kind}[1,3,8,10] y) {{
        a = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)
        b = Softmax<axis=-1>(a)
        y = MatMul(b,w) }}"""
    model = parse(text, opset=22)
    assert "matmul" in kernels(model)
    x, w = normal(1, 3, 8, 8), normal(8, 10)
    wide = parse(text.replace(kind, "float"), opset=22)
    dtype = np.dtype(model.graph.inputs[0].dtype.numpy())  # type: ignore[union-attr]
    ours = compile_(model).run(None, {"x": x.astype(dtype), "w": w.astype(dtype)})[0]
    exact = compile_(wide).run(None, {"x": x, "w": w})[0]
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.astype(np.float32), exact, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("name", ["three spatial axes, and a region behind", "transposed, a channel a group"])
def test_two_threads(name: str) -> None:
    text, constants, feed = CASES[name]
    model = parse(text, constants)
    one, two = (compile_(model, threads=threads).run(None, feed)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("g (float[9,9] x) => (float y) { y = Det(x) }", "matrices of 9 rows"),
        ("g (double[4] x) => (double[4] y) { y = Erf(x) }", "error function in double precision"),
        ("g (float[4] x) => (float[4] y) { y = RandomNormalLike(x) }", "its result is random"),
        ("g (float[2,3] x, int64[2] s) => (float[3,2] y) { y = Reshape(x,s) }", "input 's' must be constant"),
        (
            "g (float[1,1,4,4] x, float[1,4] r, int64[1] i) => (float[1,1,1,1] y) { y = RoiAlign(x,r,i) }",
            "sampling ratio depends on the region",
        ),
        ("g (string[4] x) => (string[4] y) { y = Identity(x) }", "'x' has element type STRING"),
        (
            """g (float[3] x, bool c) => (float[3] y) {
                y = If<then_branch = t () => (float[3] a) { a = Neg(x) },
                    else_branch = e () => (float[3] b) { b = Abs(x) }>(c) }""",
            "it has a subgraph",
        ),
        (
            """g (float[1,1,4] x) => (float[1,1,8] y) {
                s = Constant<value_floats=[1.0,1.0,2.0]>()
                y = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(x,,s) }""",
            "coordinates 'tf_half_pixel_for_nn'",
        ),
        ("g (float[4] x) => (int64[1,n] y) { y = NonZero(x) }", "there is no kernel for this operator"),
    ],
)
def test_refusals_name_the_node_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"cannot lower 1 nodes .*: '.*' \(\w+\): .*{reason}.*\[GP401\]"):
        compile_(parse(text))


ROI_ALIGN = """g (float[2,1,8,8] x, float[1,4] r, int64[1] i) => (float[1,1,2,2] y) {
    y = RoiAlign<sampling_ratio=2,output_height=2,output_width=2>(x,r,i) }"""


def test_a_region_of_an_image_outside_the_batch_stops_the_run() -> None:
    feed = {"x": np.ones((2, 1, 8, 8), np.float32), "r": np.array([[1, 1, 6, 6]], np.float32), "i": np.array([2])}
    with pytest.raises(BackendError, match=r"\(RoiAlign\): index outside the 2 rows \[GP413\]"):
        compile_(parse(ROI_ALIGN)).run(None, feed)


def test_a_region_that_is_not_a_number_reads_inside_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHPRUNE_CHECK_BOUNDS", "1")
    regions = np.array([[np.nan, np.inf, 6, -np.inf]], np.float32)
    feed = {"x": np.ones((2, 1, 8, 8), np.float32), "r": regions, "i": np.array([1])}
    (y,) = compile_(parse(ROI_ALIGN)).run(None, feed)
    assert y.shape == (1, 1, 2, 2)
