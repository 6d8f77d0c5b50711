"""Weights inside If, Loop and Scan: pruned, masked and packed as those of the main graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.sparsity import parameter_counts, weight_counts
from graphprune.backends.onnxruntime import session_for
from graphprune.packed.calls import is_packed_call
from graphprune.passes.base import run_pass
from graphprune.passes.harden_masks import HardenMasks
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.testing.check_pass import check_pass
from graphprune.verification.feeds import random_feed
from tests.passes.subgraphs import CASES, Arrays, drawn, without_smallest

SHARE = 0.75


def written(case: str, weights: Arrays) -> ir.Model:
    return ir.from_onnx_text(CASES[case][0](weights))


def assert_same(one: ir.Model, other: ir.Model, atol: float = 0) -> None:
    """Compare what both compute, for either condition."""
    sessions = [session_for(model, optimize=False) for model in (one, other)]
    feed = random_feed(sessions[0].get_inputs(), seed=1)
    for condition in (False, True) if "c" in feed else (None,):
        given = feed if condition is None else {**feed, "c": np.array(condition)}
        for left, right in zip(*(session.run(None, given) for session in sessions), strict=True):
            np.testing.assert_allclose(left, right, rtol=0, atol=atol)


@pytest.mark.parametrize("case", CASES)
def test_pruned_they_are_the_weights_times_their_masks(case: str) -> None:
    weights = drawn(CASES[case][1])
    model = written(case, weights)
    made = plan(model, Recipe(sparsity=SHARE))
    assert {planned.name for planned in made.weights} == weights.keys()
    pruned = check_pass(PruneWeights(made), model).model
    masked = {name: without_smallest(array, SHARE) for name, array in weights.items()}
    assert_same(pruned, written(case, masked))
    elements = sum(array.size for array in weights.values())
    assert parameter_counts(pruned).zeros == round(SHARE * elements)
    assert {name: weight_counts(pruned)[name].sparsity for name in weights} == dict.fromkeys(weights, SHARE)


@pytest.mark.parametrize("case", CASES)
def test_masked_and_hardened_they_are_those_that_are_pruned(case: str) -> None:
    model = written(case, drawn(CASES[case][1]))
    made = plan(model, Recipe(sparsity=SHARE))
    open_ = run_pass(InsertSoftMasks(made, temperature="1e-3", ratio=0), model).model
    assert_same(open_, model)
    masked = run_pass(InsertSoftMasks(made, temperature="1e-9"), model).model
    pruned = run_pass(PruneWeights(made), model).model
    assert_same(masked, pruned, atol=1e-5)
    assert_same(run_pass(HardenMasks(), masked).model, pruned)


@pytest.mark.parametrize("case", CASES)
def test_packed_and_unpacked_they_compute_the_same(case: str) -> None:
    model = written(case, {name: without_smallest(each, SHARE) for name, each in drawn(CASES[case][1]).items()})
    packed = check_pass(PackWeights(), model).model
    products = [node for node in packed.graph.all_nodes() if node.op_type in {"Conv", "MatMul"}]
    assert (products, any(map(is_packed_call, packed.graph.all_nodes()))) == ([], True)
    assert_same(packed, model, atol=1e-5)
    assert_same(run_pass(UnpackWeights(), packed).model, model)
