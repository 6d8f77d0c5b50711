from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import assert_equal_on, compile_, parse

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements_with_negative_indices(axis: int) -> None:
    indices = RNG.integers(-3, 3, (3, 2, 5))
    text = f"g (float[3,4,5] x, int64[3,2,5] i) => (float[3,2,5] y) {{ y = GatherElements<axis={axis}>(x,i) }}"
    assert_equal_on({"x": X, "i": indices}, parse(text))


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_elements_with_repeated_targets(reduction: str) -> None:
    indices = np.array([[[0, 1, -1, 0, 2]] * 4] * 2)
    updates = RNG.standard_normal((2, 4, 5)).astype(np.float32)
    if reduction == "none":
        indices[1] = (indices[0] + 1) % 3
    text = f"""g (float[3,4,5] x, int64[2,4,5] i, float[2,4,5] u) => (float[3,4,5] y) {{
        y = ScatterElements<axis=0,reduction="{reduction}">(x,i,u) }}"""
    assert_equal_on({"x": X, "i": indices, "u": updates}, parse(text, opset=18))


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_scatter_nd_of_slices(reduction: str) -> None:
    indices = np.array([[[0, 1], [2, -1]]])
    updates = RNG.standard_normal((1, 2, 5)).astype(np.float32)
    text = f"""g (float[3,4,5] x, int64[1,2,2] i, float[1,2,5] u) => (float[3,4,5] y) {{
        y = ScatterND<reduction="{reduction}">(x,i,u) }}"""
    assert_equal_on({"x": X, "i": indices, "u": updates}, parse(text, opset=18))


def test_scatter_into_a_transposed_view_leaves_the_input_alone() -> None:
    text = """g (float[5,3] x, int64[2] i, float[2,5] u) => (float[3,5] y, float[5,3] z) {
        t = Transpose(x)
        k = Unsqueeze(i,one)
        y = ScatterND(t,k,u)
        z = Neg(x) }"""
    feed = {"x": X[:, 0, :].T.copy(), "i": np.array([2, 0]), "u": X[1, :2]}
    assert_equal_on(feed, parse(text, {"one": np.array([1])}))


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("kind", ["float", "int64"])
def test_running_sums(kind: str, reverse: int, exclusive: int) -> None:
    x = (X * 10).astype({"float": np.float32}.get(kind, kind))
    text = f"""g ({kind}[3,4,5] x) => ({kind}[3,4,5] y, {kind}[3,4,5] z) {{
        y = CumSum<exclusive={exclusive},reverse={reverse}>(x,last)
        t = Transpose<perm=[1,0,2]>(x)
        s = CumSum<exclusive={exclusive},reverse={reverse}>(t,first)
        z = Transpose<perm=[1,0,2]>(s) }}"""
    assert_equal_on({"x": x}, parse(text, {"last": np.array(-1), "first": np.array(0)}), 1e-5, 1e-5)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_running_sums_of_neighbours_in_vectors(axis: int, reverse: int, exclusive: int) -> None:
    x = np.random.default_rng(0).random((4, 9, 37)).astype(np.float32) + 0.5
    text = f"g (float[4,9,37] x) => (float[4,9,37] y) {{ y = CumSum<exclusive={exclusive},reverse={reverse}>(x,axis) }}"
    assert_equal_on({"x": x}, parse(text, {"axis": np.array(axis)}), 1e-5, 1e-5)


def test_running_sum_of_one_element() -> None:
    text = "g (float[3,1] x) => (float[3,1] y) { y = CumSum<exclusive=1>(x,axis) }"
    assert_equal_on({"x": X[:, 0, :1]}, parse(text, {"axis": np.array(1)}))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("axis", "count"), [(-1, 1), (-1, 37), (0, 2), (1, 3)])
def test_largest_elements_first_of_equal_ones(axis: int, count: int, largest: int) -> None:
    shape = [4, 5, 37]
    x = RNG.integers(0, 20, shape).astype(np.float32)
    shape[axis] = count
    result = ",".join(map(str, shape))
    text = f"""g (float[4,5,37] x) => (float[{result}] y, int64[{result}] i) {{
        y, i = TopK<axis={axis},largest={largest}>(x,k) }}"""
    assert_equal_on({"x": x}, parse(text, {"k": np.array([count])}))


def test_max_unpool_undoes_max_pool() -> None:
    text = """g (float[1,2,6,6] x) => (float[1,2,6,6] y) {
        p, i = MaxPool<kernel_shape=[2,2],strides=[2,2]>(x)
        y = MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(p,i) }"""
    assert_equal_on({"x": RNG.standard_normal((1, 2, 6, 6)).astype(np.float32)}, parse(text))


@pytest.mark.parametrize(
    ("text", "indices", "axis"),
    [
        ("y = GatherElements<axis=1>(x,i)", np.array([[0, 4], [0, 0]]), 4),
        ("y = ScatterElements<axis=1>(x,i,i2)", np.array([[0, -5], [0, 0]]), 4),
    ],
)
def test_an_index_outside_stops_the_run_by_name(text: str, indices: np.ndarray, axis: int) -> None:
    shape = "2,2" if "Gather" in text else "2,4"
    model = parse(f"g (int64[2,4] x, int64[2,2] i, int64[2,2] i2) => (int64[{shape}] y) {{ {text} }}")
    feed = {"x": np.arange(8).reshape(2, 4), "i": indices, "i2": np.ones((2, 2), np.int64)}
    with pytest.raises(Exception, match=f"index outside the {axis} elements"):
        compile_(model).run(None, feed)
