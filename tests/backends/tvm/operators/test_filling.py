from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, assert_equal_on, compile_, parse

X = np.random.default_rng(0).standard_normal((2, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("pads", [[0, 1, 2, 0, 3, 1], [0, 0, 0, 0, 0, 3], [0, 2, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
def test_pads_of_every_mode(mode: str, pads: list[int]) -> None:
    shape = [n + pads[a] + pads[a + 3] for a, n in enumerate(X.shape)]
    text = f'g (float[2,4,5] x) => (float[{",".join(map(str, shape))}] y) {{ y = Pad<mode="{mode}">(x,p) }}'
    assert_equal_on({"x": X}, parse(text, {"p": np.array(pads)}, opset=19))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_negative_pads_cut(mode: str) -> None:
    text = f'g (float[2,4,5] x) => (float[2,5,3] y) {{ y = Pad<mode="{mode}">(x,p) }}'
    assert_equal_on({"x": X}, parse(text, {"p": np.array([0, -1, 0, 0, 2, -2])}, opset=19))


def test_reflection_further_than_the_axis_is_long() -> None:
    text = 'g (float[2,4,5] x) => (float[2,4,21] y) { y = Pad<mode="reflect">(x,p) }'
    expected = np.pad(X, [(0, 0), (0, 0), (9, 7)], mode="reflect")
    result = compile_(parse(text, {"p": np.array([0, 0, 9, 0, 0, 7])}, opset=19)).run(None, {"x": X})[0]
    np.testing.assert_array_equal(result, expected)


def test_a_fill_computed_at_run_time_and_some_axes() -> None:
    text = "g (float[2,4,5] x, float v) => (float[3,4,7] y) { y = Pad(x,p,v,axes) }"
    model = parse(text, {"p": np.array([1, 1, 1, 0]), "axes": np.array([-1, 0])}, opset=19)
    assert_equal_on({"x": X, "v": np.array(2.5, np.float32)}, model)


@pytest.mark.parametrize("kind", ["float16", "double", "int32", "uint8", "bool"])
def test_pads_of_other_types(kind: str) -> None:
    x = (X > 0) if kind == "bool" else (np.abs(X) * 9).astype({"double": np.float64}.get(kind, kind))
    text = f"g ({kind}[2,4,5] x) => ({kind}[2,6,6] y) {{ y = Pad(x,p) }}"
    assert_equal_on({"x": x}, parse(text, {"p": np.array([0, 1, 0, 0, 1, 1])}, opset=19))


def test_pads_of_a_transposed_view() -> None:
    text = """g (float[2,4,5] x) => (float[5,6,4] y) {
        t = Transpose<perm=[2,1,0]>(x)
        y = Pad<mode="reflect">(t,p) }"""
    assert_equal_on({"x": X}, parse(text, {"p": np.array([0, 1, 1, 0, 1, 1])}, opset=19))


@pytest.mark.parametrize("repeats", [[1, 1, 1], [2, 1, 3], [1, 4, 1], [3, 2, 2]])
def test_tiles(repeats: list[int]) -> None:
    shape = ",".join(str(n * r) for n, r in zip(X.shape, repeats, strict=True))
    text = f"g (float[2,4,5] x) => (float[{shape}] y) {{ y = Tile(x,r) }}"
    assert_equal_on({"x": X}, parse(text, {"r": np.array(repeats)}))


def test_repeated_elements_in_bfloat16() -> None:
    text = """g (bfloat16[2,4,1] x) => (bfloat16[2,6,3] y, bfloat16[2,4,40] z) {
        y = Pad(x,p)
        z = Expand(x,s) }"""
    constants: dict[str, Initializer] = {"p": np.array([0, 1, 1, 0, 1, 1]), "s": np.array([2, 4, 40])}
    x = X[:, :, :1].astype(ml_dtypes.bfloat16)
    padded, expanded = compile_(parse(text, constants, opset=22)).run(None, {"x": x})
    np.testing.assert_array_equal(padded, np.pad(x, [(0, 0), (1, 1), (1, 1)]))
    np.testing.assert_array_equal(expanded, np.broadcast_to(x, (2, 4, 40)))
