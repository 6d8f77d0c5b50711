from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import assert_equal_on, compile_, kernels, parse

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


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
