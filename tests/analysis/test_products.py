"""Weights of what ONNX Runtime fused products into, and what is said of its other operators."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.analysis.weights import prunable_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.compiler.compile import compile as compile_model
from graphprune.compiler.dense_zeros import dense_zeros
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.prune_weights import PruneWeights
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.verification.feeds import random_feed
from graphprune_runtime.session import CompiledSession
from tests.passes.contrib_case import Case
from tests.passes.subgraphs import without_smallest

FUSED: dict[str, tuple[str, tuple[int, ...], int]] = {
    "convolution": (
        '(float[1,8,5,5] x) => (float[1,4,3,3] y) { y = com.microsoft.FusedConv <activation = "Relu"> (x, w) }',
        (4, 8, 3, 3),
        0,
    ),
    "gemm": (
        '(float[2,8] x) => (float[2,4] y) { y = com.microsoft.FusedGemm <activation = "Relu", transB = 1> (x, w) }',
        (4, 8),
        0,
    ),
    "product": (
        "(float[3,8,2] x) => (float[3,2,4] y) { y = com.microsoft.FusedMatMul <alpha = 0.5, transA = 1> (x, w) }",
        (8, 4),
        1,
    ),
    "product from the left": (
        "(float[8,2] x) => (float[4,2] y) { y = com.microsoft.FusedMatMul <transA = 1> (w, x) }",
        (8, 4),
        1,
    ),
    "attention": (
        "(float[2,5,8] x) => (float[2,5,8] y) { y = com.microsoft.Attention <num_heads = 2> (x, w, b) }",
        (8, 24),
        1,
    ),
}


def case(name: str, weight: npt.NDArray[np.float32]) -> Case:
    return Case(FUSED[name][0], {"w": weight, "b": np.linspace(-1, 1, weight.shape[-1]).astype(np.float32)})


@pytest.mark.parametrize("name", FUSED)
def test_they_are_pruned_as_they_are(name: str) -> None:
    _, shape, rows_axis = FUSED[name]
    array = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    model = case(name, array).model()
    (weight,), skips = prunable_weights(model)
    assert (weight.axes.output, skips) == (rows_axis, [])
    pruned = run_pass(PruneWeights(plan(model, Recipe(sparsity=0.75))), model).model
    masked = case(name, without_smallest(array, 0.75)).model()
    feed = random_feed(model, seed=2)
    ours, theirs = (session_for(each, optimize=False).run(None, feed) for each in (pruned, masked))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_they_are_packed_once_they_are_taken_apart() -> None:
    sparse = without_smallest(np.random.default_rng(3).standard_normal((4, 8)).astype(np.float32), 0.75)
    model = case("gemm", sparse).model()
    (skip,) = run_pass(PackWeights(layout="rows"), model).skips
    assert str(skip) == "w: node 'y' (FusedGemm) has no packed form; run the pass expand-contrib first [GP341]"
    session = compile_model(model)
    assert isinstance(session, CompiledSession)
    (note,) = session.description.programs[0].kernels
    assert note.kernel != "dense"
    assert dense_zeros(model, session) == []


OTHERS = {
    "com.microsoft.QGemm <alpha = 1.0> (x, x, x, w)": "'com.microsoft': run the pass expand-contrib first [GP313]",
    "com.microsoft.nchwc.Conv (x, w)": "with ORT_ENABLE_EXTENDED, not ORT_ENABLE_ALL [GP312]",
    "com.example.Product (x, w)": "which takes no weight that can be pruned: it stays dense [GP301]",
}


@pytest.mark.parametrize("call", OTHERS)
def test_others_are_named_with_what_can_be_done(call: str) -> None:
    model = Case(f"(float[2,8] x) => (float[a,b] y) {{ [odd] y = {call} }}", {"w": (8, 8)}).model()
    weights, (skip,) = prunable_weights(model)
    assert weights == []
    assert str(skip).startswith("w: is read by node 'odd'")
    assert str(skip).endswith(OTHERS[call])
    assert len(str(skip)) <= 300
