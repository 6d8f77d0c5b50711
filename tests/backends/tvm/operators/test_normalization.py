from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.operators.normalization import _merged
from graphprune.verification.feeds import random_feed
from tests.backends.tvm.graphs import Initializer, assert_equal, assert_equal_on, compile_, parse

REDUCTIONS = (
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"),
)


@pytest.mark.parametrize("operator", REDUCTIONS)
def test_reductions(operator: str) -> None:
    """Of any axes, kept or dropped, counted from either end; of all axes; and of a transposed input."""
    text = f"""g (float[3,4,37] x) => (float[3,4] a, float[1,4,1] b, float[4] c, float d, float[37,3] e) {{
        s = Sigmoid(x)
        t = Transpose(s)
        a = {operator}<keepdims=0>(s,last)
        b = {operator}(s,outer)
        c = {operator}<keepdims=0>(s,outer)
        d = {operator}<keepdims=0>(s)
        e = {operator}<keepdims=0>(t,middle) }}"""
    model = parse(text, {"last": np.array([-1]), "outer": np.array([2, -3]), "middle": np.array([1])})
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("operator", REDUCTIONS)
def test_without_axes_each_element_may_stay_by_itself(operator: str) -> None:
    text = f"""g (float[3,20] x, float y) => (float[3,20] a, float[3,20] b, float c) {{
        s = Sigmoid(x)
        a = {operator}<noop_with_empty_axes=1>(s)
        b = {operator}<noop_with_empty_axes=1>(s,none)
        z = Sigmoid(y)
        c = {operator}<noop_with_empty_axes=1>(z) }}"""
    model = parse(text, {"none": np.zeros(0, np.int64)})
    assert_equal(compile_(model), model)


def test_an_axis_named_twice_is_reduced_once() -> None:
    text = "g (float[3,4] x) => (float[a,b] y, float[a,b] z) { y = ReduceMean(x,axes) z = ReduceSum(x,every) }"
    model = parse(text, {"axes": np.array([1, 1]), "every": np.array([-1, 0, 1])})
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin<keepdims=0>"])
def test_a_scalar_is_the_best_of_itself(operator: str) -> None:
    """ONNX Runtime says so of older operator sets."""
    model = parse(f"g (float x) => (int64 a) {{ s = Sigmoid(x) a = {operator}(s) }}")
    (place,) = compile_(model).run(None, {"x": np.array(3, np.float32)})
    assert (str(place.dtype), place.shape, place.item()) == ("int64", (), 0)


def test_a_scalar_is_reduced_to_itself() -> None:
    model = parse("g (float x) => (float a, float b) { a = ReduceMax(x)\n b = ReduceSumSquare<keepdims=0>(x) }")
    assert_equal(compile_(model), model)


INTEGERS = [
    *[("ReduceSum", "int64"), ("ReduceSum", "int32"), ("ReduceMean", "int32"), ("ReduceProd", "int64")],
    *[("ReduceMax", dtype) for dtype in ("int32", "int64", "int8", "uint8")],
    *[("ReduceMin", dtype) for dtype in ("int32", "int64", "int8", "uint8")],
    *[("ReduceL2", "int32"), ("ReduceL1", "int32"), ("ReduceSumSquare", "int32")],
]


@pytest.mark.parametrize(("operator", "dtype"), INTEGERS)
def test_integers(operator: str, dtype: str) -> None:
    text = f"""g ({dtype}[5,37] x) => ({dtype}[5] a, {dtype}[37] b) {{
        a = {operator}<keepdims=0>(x,one)
        b = {operator}<keepdims=0>(x,zero) }}"""
    model = parse(text, {"one": np.array([1]), "zero": np.array([0])})
    session = compile_(model)
    low, high = {"ReduceProd": (1, 3)}.get(operator, (100 if dtype == "uint8" else -9, 110))
    x = np.random.default_rng(0).integers(low, high, (5, 37)).astype(dtype)
    expected = session_for(model, optimize=False).run(None, {"x": x})
    for ours, theirs in zip(session.run(None, {"x": x}), expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_booleans(operator: str) -> None:
    text = f"""g (bool[3,37] x) => (bool[37] a, bool[3] b, bool c) {{
        a = {operator}<keepdims=0>(x,zero)
        b = {operator}<keepdims=0>(x,one)
        c = {operator}<keepdims=0>(x) }}"""
    model = parse(text, {"one": np.array([1]), "zero": np.array([0])})
    session, reference = compile_(model), session_for(model, optimize=False)
    mixed = random_feed(session.get_inputs())["x"]
    ones, zeros = np.ones_like(mixed), np.zeros_like(mixed)
    for x in (mixed, ones, zeros, np.concatenate([ones[:1], mixed[:1], zeros[:1]])):
        for ours, theirs in zip(session.run(None, {"x": x}), reference.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(ours, theirs)


CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "pools over all positions": (
        """g (float[2,3,4,5] x) => (float[2,3,1,1] a, float[2,3,1,1] b) {
            a = GlobalAveragePool(x)
            b = GlobalMaxPool(x) }""",
        {},
    ),
    "pools over one axis and three": (
        """g (float[2,3,19] x, float[2,3,2,3,4] z) => (float[2,3,1] a, float[2,3,1,1,1] b) {
            a = GlobalMaxPool(x)
            b = GlobalAveragePool(z) }""",
        {},
    ),
    "softmax over each axis": (
        """g (float[3,20,35] x) => (float[3,20,35] a, float[3,20,35] b, float[3,20,35] c, float[3,20,35] d) {
            a = Softmax<axis=0>(x)
            b = Softmax<axis=-2>(x)
            c = LogSoftmax(x)
            d = LogSoftmax<axis=1>(x) }""",
        {},
    ),
    "softmax of a transposed input, with a region": (
        """g (float[5,33,4] x, float[33,1] r) => (float[4,33,5] y) {
            t = Transpose(x)
            s = Softmax(t)
            y = Mul(r,s) }""",
        {},
    ),
    "softmax of one element": ("g (float[4,1] x) => (float[4,1] y) { y = Softmax(x) }", {}),
    "softmax of a vector that repeats": (
        "g (float[35] x) => (float[3,35] y) { e = Expand(x,s)\n y = Softmax<axis=0>(e) }",
        {"s": np.array([3, 35])},
    ),
    "layer normalisation from an inner axis": (
        "g (float[2,3,37] x) => (float[2,3,37] y) { y = LayerNormalization<axis=1,epsilon=0.1>(x,w,b) }",
        {"w": (3, 37), "b": (37,)},
    ),
    "layer normalisation of everything, factors that repeat": (
        "g (float[2,3,37] x) => (float[2,3,37] y) { y = LayerNormalization<axis=-3>(x,w,b) }",
        {"w": (1, 3, 1), "b": (1,)},
    ),
    "layer normalisation with factors computed at run time": (
        """g (float[2,3,37] x, float[37] w, float[37] b) => (float[2,3,37] y) {
            n = Neg(w)
            l = LayerNormalization(x,n,b)
            y = Relu(l) }""",
        {},
    ),
    "layer normalisation without a shift, channel-major": (
        "g (float[2,9,37] x) => (float[2,9,5] y) { l = LayerNormalization(x,w)\n y = MatMul(l,m) }",
        {"w": (37,), "m": (37, 5)},
    ),
    "instance normalisation": (
        """g (float[2,3,4,5] x, float[2,3,20] z) => (float[2,3,4,5] a, float[2,3,20] b) {
            a = InstanceNormalization<epsilon=0.01>(x,w,s)
            b = InstanceNormalization(z,w,s) }""",
        {"w": (3,), "s": (3,)},
    ),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str, target: str) -> None:
    model = parse(*CASES[name])
    assert_equal(compile_(model, target, threads=2), model)


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_softmax_of_large_and_masked_elements(operator: str) -> None:
    model = parse(f"g (float[4,37] x) => (float[4,37] y) {{ y = {operator}(x) }}")
    x = np.random.default_rng(0).standard_normal((4, 37)).astype(np.float32)
    x[0] *= 1e4
    x[1, 5:] = -np.inf
    x[2, 7] = np.nan
    (ours,) = compile_(model).run(None, {"x": x})
    (theirs,) = session_for(model, optimize=False).run(None, {"x": x})
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    assert np.isnan(ours[2]).all()


@pytest.mark.parametrize("offset", [1e4, 1e6, 3e38])
def test_log_softmax_keeps_its_digits_beside_a_large_maximum(offset: float) -> None:
    model = parse("g (float[4,37] x) => (float[4,37] y) { y = LogSoftmax(x) }")
    x = (np.random.default_rng(0).standard_normal((4, 37)) + offset).astype(np.float32)
    wide = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    expected = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(compile_(model).run(None, {"x": x})[0], expected, atol=1e-6)


def test_log_sum_exp_neither_overflows_nor_loses_a_row_of_minus_infinity() -> None:
    model = parse("g (float[3,37] x) => (float[3] y) { y = ReduceLogSumExp<keepdims=0>(x,a) }", {"a": np.array([1])})
    x = np.zeros((3, 37), np.float32)
    x[0], x[1] = 1e4, -np.inf
    (y,) = compile_(model).run(None, {"x": x})
    np.testing.assert_allclose(y, [1e4 + np.log(37), -np.inf, np.log(37)], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_log_sum_exp_of_integers_is_computed_in_double_precision_and_cut(dtype: str) -> None:
    model = parse(f"g ({dtype}[2,3] x) => ({dtype}[2,1] y) {{ y = ReduceLogSumExp(x,a) }}", {"a": np.array([1])})
    assert_equal_on({"x": np.array([[1, 2, 3], [-5, 0, 20]], dtype)}, model)


def test_one_nan_makes_its_row_nan() -> None:
    text = """g (float[3,37] x) => (float[3] a, float[3] b, float[37] c, float[1,3,1] d) {
        a = ReduceMax<keepdims=0>(x,one)
        b = ReduceMin<keepdims=0>(x,one)
        c = ReduceMax<keepdims=0>(x,zero)
        u = Unsqueeze(x,zero)
        d = GlobalMaxPool(u) }"""
    model = parse(text, {"one": np.array([1]), "zero": np.array([0])})
    x = np.random.default_rng(0).standard_normal((3, 37)).astype(np.float32)
    x[1, 4] = x[2, 36] = np.nan
    a, b, c, d = compile_(model).run(None, {"x": x})
    np.testing.assert_array_equal(a, x.max(axis=1))
    np.testing.assert_array_equal(b, x.min(axis=1))
    np.testing.assert_array_equal(c, x.max(axis=0))
    np.testing.assert_array_equal(d.ravel(), x.max(axis=1))


@pytest.mark.parametrize(
    ("reduced", "shape", "strides", "chosen"),
    [
        ((2, 3), (6, 20), (20, 1), (1,)),
        ((0, 2, 3), (2, 3, 20), (60, 20, 1), (0, 2)),
        ((1,), (2, 3, 20), (60, 20, 1), (1,)),
        ((0, 1, 2, 3), (120,), (1,), (0,)),
        ((), (120,), (1,), ()),
    ],
)
def test_neighbouring_axes_of_a_reduction_are_one(
    reduced: tuple[int, ...], shape: tuple[int, ...], strides: tuple[int, ...], chosen: tuple[int, ...]
) -> None:
    view, axes = _merged(View.dense(None, "float32", (2, 3, 4, 5)), reduced)
    assert (view.shape, view.strides, axes) == (shape, strides, chosen)


def test_axes_that_lie_apart_stay_apart() -> None:
    view, axes = _merged(View.dense(None, "float32", (2, 3, 4, 5)).transpose((0, 1, 3, 2)), (2, 3))
    assert (view.shape, axes) == ((6, 5, 4), (1, 2))


@pytest.mark.parametrize("axes", [[2, 3], [0, 2, 3], [1, 2], [0, 1], [3], []])
@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMax", "ReduceProd", "ReduceLogSumExp"])
def test_reductions_of_views(operator: str, axes: list[int]) -> None:
    text = f"""g (float[4,3,2,37] x) => (float y, float z) {{
        y = {operator}<keepdims=0,noop_with_empty_axes=0>(x,a)
        t = Transpose<perm=[1,0,3,2]>(x)
        z = {operator}<keepdims=0>(t,a) }}"""
    kept = ",".join("ABCD"[: 4 - len(axes or range(4))])
    text = text.replace("float y", f"float[{kept}] y").replace("float z", f"float[{kept.lower()}] z")
    model = parse(text if kept else text.replace("float[]", "float"), {"a": np.array(axes, np.int64)})
    assert_equal(compile_(model), model)
