"""Weights and activations that are stored as integers, between QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels import channel_groups
from graphprune.analysis.channels.cost import ChannelCost
from graphprune.passes import FoldChannels, PruneChannels
from graphprune.passes.base import run_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from tests.analysis.channels.masking import check_equal, check_fold, check_zero_where_read
from tests.analysis.channels.test_groups import analyse, model_of, slices
from tests.weighted import inferred_model, weight_of

OPSET = '<ir_version: 10, opset_import: ["" : 21]>\n'

# Scales are powers of two, so that sums in another order round to the same integers.
LAYERS = """main (float[1,3,4,4] x, int8[8,3,1,1] wa, float[8] was, int32[8] wb, float[8] wbs, float ws, uint8 wz,
    int8[4,8,1,1] wc, float wcs) => (float[1,4,4,4] y) {
    a = DequantizeLinear <axis = 0> (wa, was) b = DequantizeLinear <axis = 0> (wb, wbs) c = Conv (x, a, b)
    r = Relu (c) q = QuantizeLinear (r, ws, wz) d = DequantizeLinear (q, ws, wz)
    e = DequantizeLinear (wc, wcs) y = Conv (d, e) }"""
SCALES: dict[str, np.ndarray] = {
    "was": np.exp2(np.arange(8) % 3 - 2).astype(np.float32),
    "wbs": np.exp2(np.arange(8) % 4 - 3).astype(np.float32),
    "ws": np.array(0.125, np.float32),
    "wz": np.array(100, np.uint8),
    "wcs": np.array(0.5, np.float32),
}


def layers(**others: np.ndarray) -> ir.Model:
    rng = np.random.default_rng(0)
    integers: dict[str, np.ndarray] = {
        "wa": rng.integers(-99, 99, (8, 3, 1, 1)).astype(np.int8),
        "wb": rng.integers(-9, 9, 8).astype(np.int32),
        "wc": rng.integers(-99, 99, (4, 8, 1, 1)).astype(np.int8),
    }
    return inferred_model(OPSET + LAYERS, {**SCALES, **integers, **others})


def test_scales_go_with_their_channels() -> None:
    model = layers()
    (group,), _ = channel_groups(model)
    assert slices(group) == {
        "producers": {"wa[0:8]"},
        "carriers": {"wb[0:8]"},
        "readers": {"wc[:, 0:8]"},
        "companions": {"was[0:8]", "wbs[0:8]"},
    }
    for seed in range(3):
        check_zero_where_read(model, [group], seed)
        check_fold(model, [group], seed)


def test_weights_count_in_integers_and_rank_by_what_they_stand_for() -> None:
    """Channel 0 has the largest integers and the smallest scale."""
    weights = np.full((8, 3, 1, 1), 10, np.int8)
    weights[0] = 100
    scales = np.full(8, 0.5, np.float32)
    scales[0] = 2.0**-9
    model = layers(wa=weights, was=scales)
    groups, _ = channel_groups(model)
    cost = ChannelCost.of(model, groups)
    assert cost.macs([0]) == 16 * (3 * 8 + 8 * 4)
    assert cost.macs([4]) == cost.macs([0]) // 2
    assert cost.parameters([0]) - cost.parameters([1]) == 3 + 1 + 4 + 2
    recipe = Recipe(sparsity=0.125, pattern="channel")
    pruned = run_pass(PruneChannels(plan(model, recipe)), model)
    assert np.flatnonzero(~weight_of(pruned.model, "wa").any(axis=(1, 2, 3))).tolist() == [0]
    folded = run_pass(FoldChannels(), pruned.model)
    assert weight_of(folded.model, "was").tolist() == [0.5] * 7
    check_equal(pruned.model, folded.model)


def test_a_zero_point_of_an_activation_along_its_channels() -> None:
    model = model_of(
        """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8] ws, uint8[8] wz, float[4,8,1,1] wc)
        => (float[1,4,4,4] y) {
        s = Exp (ws) c = Conv (x, wa) q = QuantizeLinear <axis = 1> (c, s, wz)
        d = DequantizeLinear <axis = 1> (q, s, wz) y = Conv (d, wc) }""",
        21,
    )
    (group,), _ = channel_groups(model)
    assert group.zero_where_read
    assert slices(group)["companions"] == {"ws[0:8]", "wz[0:8]"}
    check_zero_where_read(model, [group])


def test_a_zero_point_of_a_weight_is_what_its_zeros_are_not() -> None:
    """Integers that are zero stand for other numbers there."""
    (group,), _ = analyse(
        """main (float[1,3] x, uint8[3,8] wa, float ws, float[8,4] wb) => (float[1,4] y) {
        z = Constant <value = uint8 {7}> () a = DequantizeLinear (wa, ws, z) h = MatMul (x, a) y = MatMul (h, wb) }""",
        21,
    )
    assert not group.zero_where_read


def test_weights_of_four_bits() -> None:
    model = model_of(
        """main (float[1,3] x, int4[3,8] wa, float[8] ws, float[8,4] wb) => (float[1,4] y) {
        a = DequantizeLinear <axis = 1> (wa, ws) h = MatMul (x, a) y = MatMul (h, wb) }""",
        21,
    )
    (group,), _ = channel_groups(model)
    check_fold(model, [group])


def test_scales_of_blocks_are_said() -> None:
    groups, skips = analyse(
        """main (float[1,3] x, int4[3,8] wa, float[3,2] ws, float[8,4] wb) => (float[1,4] y) {
        a = DequantizeLinear <axis = 1, block_size = 4> (wa, ws) h = MatMul (x, a) y = MatMul (h, wb) }""",
        21,
    )
    assert groups == []
    (skip,) = (skip for skip in skips if skip.node == "wa")
    assert skip.code == "GP375"
    assert "for each block" in skip.reason
