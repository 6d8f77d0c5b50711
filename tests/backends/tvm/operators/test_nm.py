"""Products of a few rows with N:M weights: the kernel is chosen where it should be, and agrees with ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphprune.backends.tvm.backend import machine_of
from graphprune.backends.tvm.kernels.nm import permutations
from graphprune.backends.tvm.operators.nm import choose_nm
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.targets.target import resolve_target
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, kernels, parse, pruned


def conforming(keep: int, of: int, inputs: int, outputs: int, *, outputs_first: bool = False) -> np.ndarray:
    """A seeded weight that follows the pattern, [inputs, outputs] or the other way round."""
    weight = pruned(outputs, inputs, zeros=0)
    weight = weight * NM(keep, of).keep_mask(np.abs(weight), WeightAxes(), 0)
    return weight if outputs_first else np.ascontiguousarray(weight.T)


CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "one row": ("g (float[1,64] x) => (float[1,70] y) { y = MatMul(x,w) }", {"w": conforming(1, 4, 64, 70)}),
    "rows of two axes": ("g (float[2,3,32] x) => (float[2,3,9] y) { y = MatMul(x,w) }", {"w": conforming(2, 4, 32, 9)}),
    "groups of eight": ("g (float[5,40] x) => (float[5,33] y) { y = MatMul(x,w) }", {"w": conforming(3, 8, 40, 33)}),
    "inputs that groups do not divide": (
        "g (float[3,30] x) => (float[3,20] y) { y = MatMul(x,w) }", {"w": conforming(1, 4, 30, 20)}
    ),
    "gemm": (
        "g (float[3,32] x) => (float[3,20] y) { y = Gemm<alpha=2.0, beta=0.5, transB=1>(x,w,b) }",
        {"w": conforming(2, 4, 32, 20, outputs_first=True), "b": (20,)},
    ),
    "a residual and an activation": (
        """g (float[2,4,32] x, float[2,4,32] r) => (float[2,4,32] y) {
        m = MatMul(x,w) a = Add(m,b) s = Sigmoid(a) g = Mul(a,s) y = Add(r,g) }""",
        {"w": conforming(2, 4, 32, 32), "b": (32,)},
    ),
    "a chain": (
        """g (float[7,32] x) => (float[7,24] y) { a = MatMul(x,w) n = LayerNormalization(a,s) y = MatMul(n,v) }""",
        {"w": conforming(2, 4, 32, 48), "s": (48,), "v": conforming(1, 4, 48, 24)},
    ),
    "numbers of bfloat16": (
        "g (float[2,64] x) => (float[2,70] y) { y = MatMul(x,w) }",
        {"w": (conforming(2, 4, 64, 70).view(np.uint32) & 0xFFFF0000).view(np.float32)},
    ),
    "numbers of float16": (
        "g (float[2,64] x) => (float[2,70] y) { y = MatMul(x,w) }",
        {"w": conforming(2, 4, 64, 70).astype(np.float16).astype(np.float32)},
    ),
    "rows that lie apart": (
        "g (float[32,5] x) => (float[5,20] y) { t = Transpose(x) y = MatMul(t,w) }", {"w": conforming(1, 4, 32, 20)}
    ),
    "every second row": (
        "g (float[9,32] x) => (float[4,20] y) { t = Slice(x,st,en,ax,step) y = MatMul(t,w) }",
        {"st": np.array([1]), "en": np.array([9]), "ax": np.array([0]), "step": np.array([2]),
         "w": conforming(1, 4, 32, 20)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("text", "weights"), CASES.values(), ids=CASES)
def test_products(text: str, weights: dict[str, Initializer], packed: bool) -> None:  # noqa: FBT001
    model = parse(text, weights)
    lowered = run_pass(PackWeights(min_sparsity=0.3), model).model if packed else model
    assert "nm" in kernels(lowered)
    assert_equal(compile_(lowered), model)


def test_narrower_vectors() -> None:
    text, weights = CASES["a residual and an activation"]
    model = parse(text, weights)
    assert_equal(compile_(model, "x86-64-v3"), model)


def test_two_threads() -> None:
    model = parse("g (float[2,64] x) => (float[2,300] y) { y = MatMul(x,w) }", {"w": conforming(2, 4, 64, 300)})
    assert_equal(compile_(model, threads=2), model)


OTHERS: dict[str, tuple[int, np.ndarray]] = {
    "a whole vector of rows": (16, conforming(1, 4, 32, 20)),
    "three of four": (2, conforming(3, 4, 32, 20)),
    "no pattern": (2, pruned(32, 20, zeros=0.5)),
    "one row of the weight is full": (2, np.where(np.arange(20) == 3, 1, conforming(1, 16, 32, 20)).astype(np.float32)),
    "nothing but zeros": (2, np.zeros((32, 20), np.float32)),
}


@pytest.mark.parametrize(("rows", "weight"), OTHERS.values(), ids=OTHERS)
def test_another_kernel_is_better(rows: int, weight: np.ndarray) -> None:
    model = parse(f"g (float[{rows},32] x) => (float[{rows},20] y) {{ y = MatMul(x,w) }}", {"w": weight})
    assert "nm" not in kernels(model)
    assert_equal(compile_(model), model)


def test_weights_in_the_cache_take_it_whatever_the_pattern() -> None:
    """The kernel for any pattern begins rows and looks inputs up, which takes longer than reading a near weight."""
    (node,) = parse("g (float[1,64] x) => (float[1,64] y) { y = MatMul(x,w) }", {"w": pruned(64, 64, zeros=0.9)}).graph
    machine = machine_of(resolve_target("x86-64-v3"), 1)
    assert [choose_nm(node, machine, near=near) is not None for near in (False, True)] == [False, True]


@pytest.mark.parametrize(("features", "served"), [((), set()), (("avx",), {4}), (("avx", "avx2"), {4, 8})])
def test_a_target_without_the_instruction_is_not_served(features: tuple[str, ...], served: set[int]) -> None:
    machine = replace(machine_of(resolve_target("x86-64-v3"), 1), features=frozenset(features))
    assert set(permutations(machine)) == served
    model = parse(*CASES["one row"])
    chosen = choose_nm(model.graph[0], machine, near=False)
    assert (chosen is not None) is bool(served)
