from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import assert_equal_on, compile_, kernels, parse

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


RESIZED = {
    "larger": ("2,3,7,9", "2,3,14,27", 'mode="linear"'),
    "smaller": ("2,3,40,37", "2,3,20,9", 'mode="linear"'),
    "larger and smaller": ("1,3,20,9", "1,3,10,40", 'mode="linear"'),
    "cubic": ("2,3,7,9", "2,3,12,30", 'mode="cubic"'),
    "cubic without what is outside": ("1,3,7,9", "1,3,12,30", 'mode="cubic",exclude_outside=1'),
    "corners": ("1,3,7,9", "1,3,12,30", 'mode="linear",coordinate_transformation_mode="align_corners"'),
    "smoothed, of more taps than are summed together": ("1,3,40,90", "1,3,9,11", 'mode="linear",antialias=1'),
    "smoothed and cubic": ("1,3,40,90", "1,3,20,11", 'mode="cubic",antialias=1'),
    "smoothed, of thousands of taps": ("1,1,4,65536", "1,1,3,3", 'mode="cubic",antialias=1'),
    "smoothed, of thousands of taps between neighbours": ("1,1,40000,5", "1,1,3,5", 'mode="linear",antialias=1'),
    "channels last": ("1,7,9,5", "1,14,18,5", 'mode="linear"'),
    "one axis": ("2,3,50", "2,3,99", 'mode="linear"'),
    "three axes": ("1,2,4,7,9", "1,2,8,14,20", 'mode="linear"'),
    "every axis": ("7,9", "14,30", 'mode="linear"'),
}


@pytest.mark.parametrize("name", RESIZED)
def test_resized_images(name: str) -> None:
    size, result, attributes = RESIZED[name]
    extents = np.array([int(n) for n in result.split(",")])
    text = f"g (float[{size}] x) => (float[{result}] y) {{ y = Resize<{attributes}>(x,,,s) }}"
    feed = {"x": normal(*(int(n) for n in size.split(",")))}
    assert_equal_on(feed, parse(text, {"s": extents}), 2e-5, 1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_resized_view_on_two_threads(channels: int) -> None:
    text = f"""g (float[1,9,14,{channels}] x) => (float[1,{channels},18,20] y) {{
        t = Transpose<perm=[0,3,1,2]>(x)
        y = Resize<mode="linear">(t,,,s) }}"""
    model = parse(text, {"s": np.array([1, channels, 18, 20])})
    feed = {"x": normal(1, 9, 14, channels)}
    assert_equal_on(feed, model, 2e-5, 1e-5)
    for ours, single in zip(compile_(model, threads=2).run(None, feed), compile_(model).run(None, feed), strict=True):
        np.testing.assert_array_equal(ours, single)


def test_the_last_axis_is_resampled_while_there_are_few_rows() -> None:
    def calls(size: str, result: str) -> list[int]:
        text = f'g (float[{size}] x) => (float[{result}] y) {{ y = Resize<mode="linear">(x,,,s) }}'
        model = parse(text, {"s": np.array([int(n) for n in result.split(",")])})
        return [call.nbytes for call in compile_(model).calls]

    assert len(calls("1,2,8,8", "1,2,16,16")) == 2
    assert calls("1,2,8,8", "1,2,16,32") == sorted(calls("1,2,8,8", "1,2,16,32"))
    assert calls("1,2,32,32", "1,2,16,16") == sorted(calls("1,2,32,32", "1,2,16,16"), reverse=True)


def sample(size: str, positions: str, attributes: str) -> str:
    axes = size.count(",") + 1
    return f"""g (float[2,3,{size}] x, float[2,{positions},{axes}] p) => (float[2,3,{positions}] y) {{
        y = GridSample<{attributes}>(x,p) }}"""


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_positions_inside_and_outside_of_images(mode: str, padding: str, align: int) -> None:
    """More positions than are located together, and some left over."""
    text = sample("9,14", "17,20", f'mode="{mode}",padding_mode="{padding}",align_corners={align}')
    assert_equal_on({"x": normal(2, 3, 9, 14), "p": normal(2, 17, 20, 2)}, parse(text), 1e-5, 2e-6)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_three_axes(padding: str, align: int) -> None:
    text = sample("5,6,7", "3,4,9", f'padding_mode="{padding}",align_corners={align}')
    assert_equal_on({"x": normal(2, 3, 5, 6, 7), "p": normal(2, 3, 4, 9, 3)}, parse(text), 1e-5, 2e-6)


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_one_element(padding: str) -> None:
    text = sample("1,1", "1,5", f'padding_mode="{padding}"')
    assert_equal_on({"x": normal(2, 3, 1, 1), "p": normal(2, 1, 5, 2)}, parse(text), 1e-5, 2e-6)


def test_views_of_both_inputs_on_two_threads() -> None:
    text = """g (float[2,9,14,3] x, float[2,2,5,6] p) => (float[2,3,5,6] y) {
        t = Transpose<perm=[0,3,1,2]>(x)
        q = Transpose<perm=[0,2,3,1]>(p)
        y = GridSample(t,q) }"""
    model, feed = parse(text), {"x": normal(2, 9, 14, 3), "p": normal(2, 2, 5, 6)}
    assert_equal_on(feed, model, 1e-5, 2e-6)
    for ours, single in zip(compile_(model, threads=2).run(None, feed), compile_(model).run(None, feed), strict=True):
        np.testing.assert_array_equal(ours, single)


def test_an_infinity_beside_a_position_outside_is_not_read() -> None:
    x = np.full((2, 3, 4, 4), np.inf, np.float32)
    positions = np.full((2, 3, 5, 2), -7, np.float32)
    y = compile_(parse(sample("4,4", "3,5", 'padding_mode="zeros"'))).run(None, {"x": x, "p": positions})[0]
    assert not y.any()


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("far", [np.nan, np.inf, -np.inf, 1e30])
def test_a_position_that_is_nowhere_reads_nothing_beside_the_image(padding: str, far: float) -> None:
    x, positions = normal(2, 3, 4, 6), normal(2, 3, 5, 2)
    session = compile_(parse(sample("4,6", "3,5", f'padding_mode="{padding}"')))
    expected = session.run(None, {"x": x, "p": positions})[0]
    positions[1, 2, 3] = far
    found = session.run(None, {"x": x, "p": positions})[0]
    expected[1, :, 2, 3] = found[1, :, 2, 3]
    np.testing.assert_array_equal(found, expected)


def test_only_linear_interpolation_of_float32_has_a_kernel() -> None:
    assert kernels(parse(sample("4,6", "3,5", "align_corners=1"))) == ["gridsample"]
    double = "g (double[1,1,4,6] x, double[1,3,5,2] p) => (double[1,1,3,5] y) { y = GridSample(x,p) }"
    feed = {"x": normal(1, 1, 4, 6).astype(np.float64), "p": normal(1, 3, 5, 2).astype(np.float64)}
    assert_equal_on(feed, parse(double), 1e-5, 1e-6)
