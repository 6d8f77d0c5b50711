"""Products of integers by weights that are no signed bytes, against NumPy's, at the largest numbers that there are."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.kernels.elements import MOST_IN_FLOAT32
from graphprune.backends.tvm.rewrites.exact_sums import MOST_PARTS
from tests.backends.tvm.graphs import Initializer, compile_, kernels, parse, prepared

LARGEST = 255 * 255
"""The largest product of two unsigned bytes."""

WHOLE = MOST_IN_FLOAT32 // LARGEST
"""As many of these as float32 sums exactly."""


def matmul(depth: int, *, known: bool = True) -> ir.Model:
    text = f"g (uint8[2,{depth}] x%s) => (int32[2,3] y) {{ y = MatMulInteger(x,w) }}"
    weight: dict[str, Initializer] = {"w": np.full((depth, 3), 255, np.uint8)} if known else {}
    return parse(text % ("" if known else f", int8[{depth},3] w"), weight)


def products(model: ir.Model) -> list[ir.DataType | None]:
    """The element type of each product of the prepared graph."""
    return [node.outputs[0].dtype for node in prepared(model).graph if node.op_type in {"MatMul", "Conv"}]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (WHOLE, [ir.DataType.FLOAT]),
        (WHOLE + 1, 2 * [ir.DataType.FLOAT]),
        (2 * WHOLE + 2, 3 * [ir.DataType.FLOAT]),
        (MOST_PARTS * WHOLE, MOST_PARTS * [ir.DataType.FLOAT]),
        (MOST_PARTS * WHOLE + 1, [ir.DataType.DOUBLE]),
    ],
)
def test_sums_are_exact(depth: int, expected: list[ir.DataType]) -> None:
    model = matmul(depth)
    assert products(model) == expected
    x = np.full((2, depth), 255, np.uint8)
    x[1, ::2] = 254
    found = compile_(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, np.repeat(x.astype(np.int64).sum(1, keepdims=True) * 255, 3, 1))


def test_of_weights_that_are_not_known_each_may_be_the_largest() -> None:
    whole = MOST_IN_FLOAT32 // (255 * 128)
    assert [len(products(matmul(depth, known=False))) for depth in (whole, whole + 1)] == [1, 2]
    x, w = np.full((2, whole + 1), 255, np.uint8), np.full((whole + 1, 3), -128, np.int8)
    found = compile_(matmul(whole + 1, known=False)).run(None, {"x": x, "w": w})[0]
    np.testing.assert_array_equal(found, x.astype(np.int32) @ w)


@pytest.mark.parametrize(
    ("zero", "parts"), [(np.uint8(0), 2), (np.uint8(128), 1), (np.uint8(255), 2)], ids=["none", "middle", "end"]
)
def test_the_zero_point_of_the_inputs_counts(zero: np.uint8, parts: int) -> None:
    depth = WHOLE * 3 // 2
    text = f"g (uint8[2,{depth}] x) => (int32[2,3] y) {{ y = MatMulInteger(x,w,a) }}"
    model = parse(text, {"w": np.full((depth, 3), 255, np.uint8), "a": np.asarray(zero)})
    assert len(products(model)) == parts
    x = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (2, depth))
    expected = (x.astype(np.int64) - int(zero)).sum(1, keepdims=True) * 255
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], np.repeat(expected, 3, 1))


def test_the_zero_points_of_a_weight_count() -> None:
    """Of two outputs, one is far from its zero point in all that it sums."""
    depth = WHOLE * 3 // 2
    text = f"g (uint8[2,{depth}] x) => (int32[2,2] y) {{ y = MatMulInteger(x,w,a,z) }}"
    weight, zeros = np.full((depth, 2), 255, np.uint8), np.array([255, 1], np.uint8)
    model = parse(text, {"w": weight, "z": zeros, "a": np.array(0, np.uint8)})
    assert len(products(model)) == 2
    x = np.full((2, depth), 255, np.uint8)
    expected = x.astype(np.int64) @ (weight.astype(np.int64) - zeros.astype(np.int64))
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)


@pytest.mark.parametrize(("channels", "group", "count"), [(28, 1, 1), (29, 1, 2), (58, 2, 1)])
def test_convolutions(channels: int, group: int, count: int) -> None:
    """Nine taps of 28 channels are less than float32 holds, of 29 more; those of groups are not cut."""
    of_group = channels // group
    model = parse(
        f"""g (uint8[1,{channels},4,4] x) => (int32[1,4,4,4] y) {{
            y = ConvInteger<group={group},pads=[1,1,1,1]>(x,w) }}""",
        {"w": np.full((4, of_group, 3, 3), 255, np.uint8)},
    )
    expected = [ir.DataType.DOUBLE] if group > 1 and of_group > 28 else count * [ir.DataType.FLOAT]
    assert products(model) == expected
    x = np.random.default_rng(0).integers(250, 256, (1, channels, 4, 4)).astype(np.uint8)
    padded = np.pad(x.astype(np.int64), [(0, 0), (0, 0), (1, 1), (1, 1)]).reshape(group, of_group, 6, 6)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3)).sum((1, 4, 5)) * 255
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0][0], np.repeat(windows, 4 // group, 0))


def test_the_zero_point_of_each_output_of_a_convolution_counts() -> None:
    model = parse(
        "g (uint8[1,400,2,2] x) => (int32[1,2,2,2] y) { y = ConvInteger(x,w,a,z) }",
        {"w": np.full((2, 400, 1, 1), 255, np.uint8), "a": np.array(0, np.uint8), "z": np.array([255, 1], np.uint8)},
    )
    assert len(products(model)) == 2
    found = compile_(model).run(None, {"x": np.full((1, 400, 2, 2), 255, np.uint8)})[0]
    np.testing.assert_array_equal(found[0], np.stack([np.zeros((2, 2)), np.full((2, 2), 400 * 255 * 254)]))


def test_convolutions_of_integers_are_not_transformed() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((1, 32, 28, 28), (64, 32, 3, 3)))
    model = parse("g (uint8[1,32,28,28] x) => (int32[1,64,26,26] y) { y = ConvInteger(x,w) }", {"w": w})
    assert "winograd_input" not in kernels(model)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64), (3, 3), axis=(2, 3))
    expected = np.einsum("ncpqhw,mchw->nmpq", windows, w.astype(np.int64))
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)
