from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import ir

from graphprune.backends.tvm.building.pipeline import lower
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function, store, unrolled_lanes
from graphprune.backends.tvm.kernels.dot import (
    DOTS,
    PAIRS,
    QUADS,
    SMALL_QUADS,
    adds_products,
    integers_of,
    multiply_and_add,
)
from graphprune.backends.tvm.kernels.elements import FLOAT32, Elements
from graphprune.targets.target import TARGETS, Target
from tests.backends.tvm.kernels.harness import V3, V4, Array, run

WORDS = 48
EXTREMES = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-128, 255)}
"""What a channel of either operand may be: one of 16 bits holds a byte of either sign."""


def dot_function(elements: Elements, width: int) -> Expr:
    """y = total + the products of all words, `width` at a time."""

    def body(kernel: Kernel) -> None:
        def element(i: Expr) -> None:
            value = multiply_and_add(elements, kernel["total"][i], kernel["weight"][i], kernel["x"][i])
            store(kernel["y"], i, value)

        unrolled_lanes(WORDS, width, element)

    return build_function("dots", [Flat(name, WORDS, "int32") for name in ("total", "weight", "x", "y")], body)


def operands(elements: Elements) -> tuple[Array, Array, Array]:
    """Sums, weights and activations as integers, the channels of a word along the last axis, the largest among them."""
    rng, dot = np.random.default_rng(0), DOTS[elements.dot]
    total = rng.integers(-(2**30), 2**30, WORDS).astype(np.int32)
    weight, x = (
        rng.integers(low, high + 1, (WORDS, elements.channels)).astype(kind)
        for kind, (low, high) in ((dot.weight, EXTREMES["int8"]), (dot.x, EXTREMES[dot.x]))
    )
    for number, (high_weight, high_x) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        weight[number], x[number] = EXTREMES["int8"][high_weight], EXTREMES[dot.x][high_x]
    if elements == SMALL_QUADS:
        room = 128 - np.abs(weight[:, 1::2].astype(np.int64))
        weight[:, ::2] = np.clip(weight[:, ::2], -room, room)
    return total, weight, x


def check(elements: Elements, machine: Machine, width: int) -> None:
    total, weight, x = operands(elements)
    found = run(
        dot_function(elements, width), machine, [total, weight.view(np.int32), x.view(np.int32)], WORDS, "int32"
    )
    expected = total + np.sum(weight.astype(np.int64) * x, axis=1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("width", [1, 3, 4, 8])
def test_pairs_are_exact(width: int) -> None:
    check(PAIRS, V3, width)


def test_pairs_are_exact_in_the_longest_vectors() -> None:
    check(PAIRS, V4, 16)


@pytest.mark.parametrize("width", [1, 3])
def test_quads_are_exact_channel_by_channel(width: int) -> None:
    check(QUADS, V3, width)


@pytest.mark.parametrize("width", [1, 3, 4, 8])
def test_small_quads_are_exact(width: int) -> None:
    check(SMALL_QUADS, V3, width)


def test_small_quads_are_exact_in_the_longest_vectors() -> None:
    check(SMALL_QUADS, V4, 16)


def assembly(function: Expr, target: Target) -> str:
    chip = tvm.target.Target(target.llvm)
    module = lower({ir.GlobalVar("main"): function}, chip)
    return str(tvm.get_global_func("target.build.llvm")(module, chip).inspect_source("s"))


@pytest.mark.parametrize(
    ("level", "width", "register"),
    [("x86-64-v4-vnni", 16, "zmm"), ("x86-64-v4-vnni", 8, "ymm"), ("x86-64-v3-vnni", 8, "ymm")],
)
def test_quads_are_one_instruction(level: str, width: int, register: str) -> None:
    lines = [line for line in assembly(dot_function(QUADS, width), TARGETS[level]).splitlines() if "vpdpbusd" in line]
    assert len(lines) == WORDS // width
    assert all(register in line for line in lines)


@pytest.mark.parametrize(
    ("level", "elements"),
    [("x86-64-v3", PAIRS), ("x86-64-v4", PAIRS), ("x86-64-v3-vnni", QUADS), ("x86-64-v4-vnni", QUADS)],
)
def test_the_words_of_a_machine(level: str, elements: Elements) -> None:
    assert integers_of(TARGETS[level].features) == elements


def test_who_adds_products() -> None:
    assert [adds_products(each) for each in (FLOAT32, PAIRS, QUADS, SMALL_QUADS)] == [True, False, True, False]
