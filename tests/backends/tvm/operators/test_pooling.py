from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from tests.backends.tvm.graphs import assert_equal, compile_, kernels, parse

WINDOWS = {
    "rounded up": ("8,9", "5,4", "kernel_shape=[3,3],strides=[2,2],ceil_mode=1,pads=[1,0,1,0]"),
    "rounded up, no pads": ("8,8", "4,4", "kernel_shape=[3,3],strides=[2,2],ceil_mode=1"),
    "uneven pads": ("7,9", "4,3", "kernel_shape=[2,4],strides=[2,3],pads=[1,0,0,2]"),
    "dilated": ("9,40", "5,38", "kernel_shape=[3,2],dilations=[2,3],pads=[0,0,0,1]"),
    "SAME_UPPER": ("7,10", "4,4", 'kernel_shape=[3,4],strides=[2,3],auto_pad="SAME_UPPER"'),
    "SAME_LOWER": ("7,10", "4,4", 'kernel_shape=[3,4],strides=[2,3],auto_pad="SAME_LOWER"'),
    "stride beyond the kernel": ("10,10", "3,4", "kernel_shape=[2,1],strides=[4,3]"),
    "the whole plane": ("5,6", "1,1", "kernel_shape=[5,6]"),
    "one row": ("1,70", "1,70", "kernel_shape=[1,3],pads=[0,1,0,1]"),
    "one column": ("33,1", "17,1", "kernel_shape=[3,1],pads=[1,0,1,0],strides=[2,1]"),
    "no window behind the input": ("17,12", "9,6", "kernel_shape=[1,1],strides=[2,2],ceil_mode=1"),
    "no window behind the padding": ("17,12", "6,5", "kernel_shape=[2,2],strides=[3,3],pads=[1,1,1,1],ceil_mode=1"),
    "rounded up, VALID": ("12,8", "4,4", 'kernel_shape=[2,3],strides=[3,2],auto_pad="VALID",ceil_mode=1'),
    "one axis": ("19", "9", "kernel_shape=[3],strides=[2]"),
    "three axes": ("5,6,9", "2,4,4", "kernel_shape=[3,2,3],strides=[2,2,2],pads=[1,1,0,0,1,0]"),
    "three axes, rounded up": ("6,8,7", "3,4,4", "kernel_shape=[2,3,2],strides=[2,2,2],ceil_mode=1"),
    "three axes, SAME_LOWER": ("5,7,4", "3,4,2", 'kernel_shape=[2,3,4],strides=[2,2,2],auto_pad="SAME_LOWER"'),
    "three axes, large": ("9,8,20", "9,8,20", "kernel_shape=[3,7,5],pads=[1,3,2,1,3,2]"),
    "planes of three axes": ("4,6,9", "4,3,4", "kernel_shape=[1,2,3],strides=[1,2,2]"),
    "depth of three axes": ("4,6,9", "2,6,9", "kernel_shape=[3,1,1]"),
    "nothing of three axes": ("4,6,9", "4,6,9", "kernel_shape=[1,1,1]"),
    "large": ("20,33", "20,33", "kernel_shape=[7,5],pads=[3,2,3,2]"),
    "large and strided": ("30,33", "9,10", "kernel_shape=[6,7],strides=[3,3],pads=[0,1,1,2]"),
    "large, dilated, rounded up": ("30,33", "11,12", "kernel_shape=[6,6],dilations=[2,2],strides=[2,2],ceil_mode=1"),
    "one axis, rounded up": ("18", "9", "kernel_shape=[3],strides=[2],ceil_mode=1"),
}
AVERAGES = {
    **{f"{name}, pads not counted": window for name, window in WINDOWS.items()},
    **{f"{name}, pads counted": (*rest, f"{last},count_include_pad=1") for name, (*rest, last) in WINDOWS.items()},
}
SHORTER = "shorter than the window"  # and rounded towards zero to one window; who counts pads is refused
WINDOWS[SHORTER] = AVERAGES[SHORTER] = ("2,5", "1,2", "kernel_shape=[3,3],strides=[2,2]")


@pytest.mark.parametrize("name", WINDOWS)
def test_maximum(name: str) -> None:
    size, output, attributes = WINDOWS[name]
    model = parse(f"g (float[2,3,{size}] x) => (float[2,3,{output}] y) {{ y = MaxPool<{attributes}>(x) }}")
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", WINDOWS)
def test_maximum_of_bytes(name: str, dtype: str) -> None:
    size, output, attributes = WINDOWS[name]
    text = f"g ({dtype}[2,3,{size}] x) => ({dtype}[2,3,{output}] y) {{ y = MaxPool<{attributes}>(x) }}"
    model = parse(text)
    assert "maxpool" not in kernels(model)  # the general kernel
    limits = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max + 1, (2, 3, *map(int, size.split(",")))).astype(dtype)
    expected = session_for(model, optimize=False).run(None, {"x": x})[0]
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)


def test_the_maximum_of_the_lowest_bytes_is_not_that_of_the_padding() -> None:
    text = "g (int8[1,1,5,40] x) => (int8[1,1,5,40] y) { y = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x) }"
    x = np.full((1, 1, 5, 40), -128, np.int8)
    np.testing.assert_array_equal(compile_(parse(text)).run(None, {"x": x})[0], x)


@pytest.mark.parametrize("name", AVERAGES)
def test_average(name: str) -> None:
    size, output, attributes = AVERAGES[name]
    model = parse(f"g (float[2,3,{size}] x) => (float[2,3,{output}] y) {{ y = AveragePool<{attributes}>(x) }}")
    assert_equal(compile_(model), model)


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
def test_channels_last_with_a_region_on_two_threads(target: str) -> None:
    text = """g (float[2,9,40,3] x, float[3,1,1] r) => (float[2,3,7,38] y, float[2,3,7,38] z) {
        t = Transpose<perm=[0,3,1,2]>(x)
        a = AveragePool<kernel_shape=[3,3]>(t)
        b = Add(a,r)
        y = Relu(b)
        m = MaxPool<kernel_shape=[3,3]>(t)
        z = Mul(m,y) }"""
    model = parse(text)
    assert_equal(compile_(model, target, threads=2), model)


@pytest.mark.parametrize("name", [name for name in WINDOWS if "row" not in name])
def test_norm(name: str) -> None:
    size, output, attributes = WINDOWS[name]
    model = parse(f"g (float[2,3,{size}] x) => (float[2,3,{output}] y) {{ y = LpPool<p=3,{attributes}>(x) }}")
    assert_equal(compile_(model), model)


def test_no_window_of_double_precision_begins_behind_the_input() -> None:
    attributes = "kernel_shape=[2,2],strides=[3,3],pads=[1,1,1,1],ceil_mode=1"
    model = parse(f"g (double[2,3,17,12] x) => (double[2,3,6,5] y) {{ y = MaxPool<{attributes}>(x) }}")
    assert_equal(compile_(model), model)


def test_the_maximum_of_negative_elements_is_not_that_of_the_padding() -> None:
    model = parse("g (float[1,1,4,4] x) => (float[1,1,4,4] y) { y = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x) }")
    (y,) = compile_(model).run(None, {"x": np.full((1, 1, 4, 4), -5, np.float32)})
    np.testing.assert_array_equal(y, np.full_like(y, -5))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_an_infinity_reaches_only_the_windows_that_hold_it(operator: str) -> None:
    text = f"g (float[2,3,7,9] x) => (float[2,3,7,9] y) {{ y = {operator}<kernel_shape=[3,3],pads=[1,1,1,1]>(x) }}"
    model = parse(text)
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 9)).astype(np.float32)
    x[0, 2, 0, 8] = x[1, 1, 6, 0] = np.inf
    (ours,) = compile_(model).run(None, {"x": x})
    (theirs,) = session_for(model, optimize=False).run(None, {"x": x})
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
    assert np.count_nonzero(np.isinf(ours)) == 2 * 4


def test_a_window_of_padding_alone_has_the_mean_zero() -> None:
    options = 'auto_pad = "SAME_LOWER", strides = [2,2], kernel_shape = [2,2], dilations = [2,1]'
    model = parse(f"g (float[1,3,1,5] x) => (float[1,3,1,3] y) {{ s = Neg(x) y = AveragePool<{options}>(s) }}")
    assert_equal(compile_(model), model)


def test_windows_over_three_axes_take_two_passes_and_large_ones_one_an_axis() -> None:
    def passes(size: str, kernel: str) -> list[str]:
        output = ",".join("ABC"[: size.count(",") + 1])
        text = f"g (float[2,3,{size}] x) => (float[2,3,{output}] y) {{ y = MaxPool<kernel_shape=[{kernel}]>(x) }}"
        return kernels(parse(text))

    assert passes("9,9", "5,5") == ["window"]
    assert passes("9,9", "7,5") == passes("4,9,9", "2,2,2") == ["window", "window"]
    assert passes("4,9,9", "1,2,2") == passes("4,9,9", "2,1,1") == ["window"]
    assert passes("4,9,9", "2,7,7") == ["window", "window", "window"]


def test_a_region_behind_several_passes() -> None:
    text = """g (float[2,3,6,7,8] x, float[3,1,1,1] r) => (float[2,3,3,3,4] y, float[2,3,6,1,1] z) {
        a = AveragePool<kernel_shape=[2,2,2],strides=[2,2,2]>(x)
        b = Add(a,r)
        y = Relu(b)
        m = MaxPool<kernel_shape=[1,7,8]>(x)
        z = Mul(m,r) }"""
    model = parse(text)
    assert_equal(compile_(model, threads=2), model)
