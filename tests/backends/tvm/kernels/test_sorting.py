"""TopK by a sorting network, against a stable sort of NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, kernels, parse
from tests.backends.tvm.kernels.harness import Array

RNG = np.random.default_rng(0)
TYPES = {"float": "float32", "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16"}
LINES = [(17, 17), (31, 20), (33, 20), (64, 32), (129, 17), (1000, 100), (600, 600), (5003, 40)]
"""Elements, and how many of them are wanted: fewer than a vector sorts, a power of two, with blocks and a rest, all."""


def top(
    kind: str, shape: Sequence[int], count: int, axis: int = -1, largest: int = 1, **options: object
) -> CompiledSession:
    result = list(shape)
    result[axis] = count
    inside, outside = (",".join(map(str, extents)) for extents in (shape, result))
    text = f"""g ({kind}[{inside}] x) => ({kind}[{outside}] y, int64[{outside}] i) {{
        y, i = TopK<axis={axis},largest={largest}>(x,k) }}"""
    return compile_(parse(text, {"k": np.array([count])}), **options)  # type: ignore[arg-type]


def check(session: CompiledSession, x: Array, count: int, axis: int, largest: int) -> None:
    keys = -x.astype(np.float64) if largest else x.astype(np.float64)
    order = np.take(np.argsort(keys, axis=axis, kind="stable"), range(count), axis=axis)
    values, places = session.run(None, {"x": x})
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, axis))


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("length", "count"), LINES)
def test_lines_of_any_length(length: int, count: int, largest: int, target: str) -> None:
    session = top("float", (3, length), count, -1, largest, target=target)
    check(session, RNG.standard_normal((3, length)).astype(np.float32), count, -1, largest)
    check(session, np.tile(np.arange(length, dtype=np.float32), (3, 1)), count, -1, largest)
    check(session, -np.tile(np.arange(length, dtype=np.float32), (3, 1)), count, -1, largest)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("kind", TYPES)
def test_types_and_equal_elements(kind: str, largest: int) -> None:
    bounds = (-1e38, 1e38) if kind == "float" else (np.iinfo(TYPES[kind]).min, np.iinfo(TYPES[kind]).max)
    values = [*bounds, 0, 1, 2, 100]
    x = RNG.choice(np.array(values, TYPES[kind]), (2, 300))
    check(top(kind, (2, 300), 40, -1, largest), x, 40, -1, largest)


def test_any_axis_on_two_threads() -> None:
    x = RNG.standard_normal((4, 90, 5)).astype(np.float32)
    check(top("float", (4, 90, 5), 33, 1, 1, threads=2), x, 33, 1, 1)


@pytest.mark.parametrize("largest", [0, 1])
def test_zeros_of_both_signs_are_equal_and_infinities_the_ends(largest: int) -> None:
    x = RNG.choice(np.array([0.0, -0.0, 1, -1, np.inf, -np.inf], np.float32), (1, 200))
    check(top("float", (1, 200), 60, -1, largest), x, 60, -1, largest)


@pytest.mark.parametrize("place", [0, 150, 199])
def test_nan_is_larger_than_any_number(place: int) -> None:
    x = RNG.standard_normal((1, 200)).astype(np.float32)
    x[0, place] = np.nan
    assert top("float", (1, 200), 20).run(None, {"x": x})[1][0, 0] == place
    assert place not in top("float", (1, 200), 20, largest=0).run(None, {"x": x})[1]


@pytest.mark.parametrize(("kind", "count", "name"), [("float", 16, "top"), ("int64", 40, "top"), ("float", 17, "sort")])
def test_few_elements_and_wide_types_are_inserted_one_by_one(kind: str, count: int, name: str) -> None:
    text = f"g ({kind}[9,50] x) => ({kind}[9,{count}] y, int64[9,{count}] i) {{ y, i = TopK(x,k) }}"
    assert kernels(parse(text, {"k": np.array([count])})) == [name]
