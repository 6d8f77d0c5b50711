"""Channels in another order: the same function, more magnitude under the pattern, and what keeps its order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, note, seed, settings

from graphprune.analysis.constants import DerivedTensor, source_of
from graphprune.errors import InputError, RecipeError
from graphprune.frontends.onnx_file import load, save
from graphprune.passes.base import run_pass
from graphprune.passes.permute_channels import PermuteChannels
from graphprune.passes.prune_weights import PruneWeights
from graphprune.passes.registry import parse_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.testing import models
from graphprune.testing.check_pass import check_pass
from tests.analysis.channels.drafts import drafts
from tests.analysis.channels.masking import check_equal
from tests.weighted import inferred_model, weight_of

PASS = PermuteChannels("2:4")

MLP = """g (float[N,6] x, float[6,16] w1, float[16] w_b, float[16,16] w2, float[5,16] w3) => (float[N,5] y) {
    h = MatMul (x, w1) a = Add (h, w_b) r = Relu (a) s = MatMul (r, w2) t = Add (r, s)
    y = Gemm <transB = 1> (t, w3) }"""
"""`w2` reads and makes the same channels."""


def kept(matrix: npt.NDArray[np.float32]) -> float:
    """The magnitude that 2:4 keeps of [outputs, inputs], in plain NumPy."""
    groups = np.abs(matrix).reshape(len(matrix), -1, 4)
    return float(np.sort(groups, axis=2)[..., 2:].sum())


def test_readers_keep_more_and_everything_moves_together() -> None:
    model = inferred_model(MLP)
    result = check_pass(PASS, model)
    order = list((result.channel_map or {})["w1"])
    assert sorted(order) == list(range(16)) != order
    for name, axes in {"w1": [1], "w_b": [0], "w2": [0, 1], "w3": [1]}.items():
        expected = weight_of(model, name)
        for axis in axes:
            expected = expected.take(order, axis)
        np.testing.assert_array_equal(weight_of(result.model, name), expected)
    before, after = (kept(weight_of(each, "w2").T) + kept(weight_of(each, "w3")) for each in (model, result.model))
    assert result.rewrites[0].detail == f"16 channels reordered: 2:4 keeps {after / before - 1:.1%} more"
    assert after > before


def test_a_convolution_keeps_more_at_each_position() -> None:
    model = inferred_model(
        """g (float[1,3,6,6] x, float[8,3,1,1] w1, float[8] w_s, float[8] w_b, float[8] w_m, float[8] w_v,
            float[4,8,3,3] w2) => (float[1,4,4,4] y) {
            c = Conv (x, w1) n = BatchNormalization (c, w_s, w_b, w_m, w_v) r = Relu (n) y = Conv (r, w2) }""",
        {"w_v": np.linspace(0.5, 2, 8, dtype=np.float32)},
    )
    result = check_pass(PASS, model)
    before, after = (kept(weight_of(each, "w2").transpose(0, 2, 3, 1).reshape(36, 8)) for each in (model, result.model))
    assert after > before
    assert set(result.channel_map or {}) == {"w1"}


def test_pruning_keeps_what_the_rewrite_promises() -> None:
    model = inferred_model(MLP)
    pruning = PruneWeights(plan(model, Recipe(pattern="2:4", targets=("w2", "w3"))))
    permuted = run_pass(PASS, model).model
    left = [
        sum(float(np.abs(weight_of(run_pass(pruning, each).model, name)).sum()) for name in ("w2", "w3"))
        for each in (model, permuted)
    ]
    assert left[1] > left[0]


@pytest.mark.parametrize("name", ["resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny"])
def test_real_models(name: str) -> None:
    model = models.build(name)
    result = run_pass(PASS, model)
    assert result.rewrites
    check_equal(model, result.model)
    again = run_pass(PASS, result.model)
    assert not again.changed


@pytest.mark.parametrize("part", range(2))
def test_random_graphs_stay_the_same_function(part: int) -> None:
    @seed(part)
    @settings(max_examples=75, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drafts())
    def check(model: ir.Model) -> None:
        note(ir.to_onnx_text(model))
        for pass_ in (PermuteChannels("1:2"), PermuteChannels("block 1x2", 0.5)):
            result = run_pass(pass_, model)
            check_equal(model, result.model)
            assert not run_pass(pass_, result.model).changed

    check()


REFUSED = {
    "part of an axis": ("p, q = Split <axis = 1, num_outputs = 2> (h) r = Mul (p, q) y = MatMul (r, w4)", "GP383"),
    "joined": ("c = Concat <axis = 1> (h, h) y = MatMul (c, w16)", "GP383"),
    "read by what is no weight": ("m = ReduceMean <keepdims = 1> (h, last) y = Mul (m, m)", "GP384"),
    "fewer than a group": ("t = MatMul (h, w8_3) y = MatMul (t, w3)", "GP384"),
    "all alike": ("y = MatMul (h, w_same)", "GP385"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    body, code = REFUSED[case]
    text = f"""g (float[2,5] x, float[5,8] w, float[4,2] w4, float[16,2] w16, float[8,3] w8_3, float[3,2] w3,
        float[8,2] w_same) => (float[A,B] y) <int64[1] last = {{1}}> {{ h = MatMul (x, w) {body} }}"""
    model = inferred_model(text, {"w_same": np.ones((8, 2), np.float32)})
    result = check_pass(PASS, model)
    first = next(skip for skip in result.skips if skip.node == ("w8_3" if case.startswith("fewer") else "w"))
    assert first.code == code, first


def test_channels_that_reach_an_output_stay() -> None:
    result = check_pass(PASS, inferred_model("g (float[2,8] x, float[8,8] w) => (float[2,8] y) { y = MatMul (x, w) }"))
    assert (result.changed, [(skip.code, skip.node) for skip in result.skips]) == (False, [("GP370", "w")])


RUNS = PermuteChannels("block 1x4", 0.5)


def runs_of(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The squares of runs of 4 of [outputs, inputs], summed."""
    sums: npt.NDArray[np.float32] = np.square(matrix).reshape(len(matrix), -1, 4).sum(2)
    return sums


def test_pruning_runs_keeps_more_in_the_order_that_is_found() -> None:
    model = inferred_model(MLP)
    result = check_pass(RUNS, model)
    assert "16 channels reordered: the runs that block 1x4 keeps are worth" in result.rewrites[0].detail
    pruning = PruneWeights(plan(model, Recipe(pattern="block 1x4", sparsity=0.5, targets=("w2", "w3"))))
    left = [
        sum(float(np.square(weight_of(run_pass(pruning, each).model, name)).sum()) for name in ("w2", "w3"))
        for each in (model, result.model)
    ]
    assert left[1] > 1.02 * left[0]


def test_zeros_that_are_there_are_gathered_in_runs() -> None:
    model = inferred_model(MLP)
    sparse = run_pass(PruneWeights(plan(model, Recipe(sparsity=0.7, targets=("w2", "w3")))), model).model
    result = check_pass(PermuteChannels("block 1x4"), sparse)
    zero = [
        sum(int((runs_of(matrix) == 0).sum()) for matrix in (weight_of(each, "w2").T, weight_of(each, "w3")))
        for each in (sparse, result.model)
    ]
    assert result.rewrites[0].detail == f"16 channels reordered: {zero[1] - zero[0]} more runs of 4 are zero"
    assert zero[1] > zero[0]


def test_a_share_that_is_zero_already_gathers_the_zeros() -> None:
    model = inferred_model(MLP)
    sparse = run_pass(PruneWeights(plan(model, Recipe(sparsity=0.95, targets=("w2", "w3")))), model).model
    orders = [run_pass(PermuteChannels("block 1x4", share), sparse).channel_map for share in (0.0, 0.3)]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_a_share_of_runs_that_is_none_is_refused(sparsity: float) -> None:
    with pytest.raises(InputError, match=r"permute-channels: sparsity is .*, expected 0 to below 1 \[GP386\]"):
        PermuteChannels("block 1x4", sparsity)


@pytest.mark.parametrize("pattern", ["unstructured", "block 4x1", "block 1x1", "block 4x4"])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=rf"permute-channels: pattern is '{pattern}', expected N:M .* \[GP386\]"):
        PermuteChannels(pattern)


def test_damaged_weights_are_refused() -> None:
    model = inferred_model(MLP, {"w3": np.full((5, 16), np.nan, np.float32)})
    with pytest.raises(RecipeError, match=r"weight 'w3' holds NaN or an infinity and cannot be ranked \[GP323\]"):
        run_pass(PASS, model)


def test_the_text_form_has_the_pattern() -> None:
    assert str(PASS) == 'permute-channels{pattern="2:4"}'
    assert parse_pass(str(PASS)) == PASS


def test_weights_in_a_file_stay_there(tmp_path: Path) -> None:
    """What is in another order is made when it is read."""
    model = inferred_model("""g (float[N,64] x, float[64,96] w1, float[96,64] w2) => (float[N,64] y) {
        h = MatMul (x, w1) y = MatMul (h, w2) }""")
    save(model, tmp_path / "model.onnx", limit=1000)
    in_memory, in_file = (run_pass(PASS, each).model for each in (model, load(tmp_path / "model.onnx")))
    for name in ("w1", "w2"):
        tensor = in_file.graph.initializers[name].const_value
        assert isinstance(tensor, DerivedTensor)
        assert isinstance(source_of(tensor), ir.ExternalTensor)
        np.testing.assert_array_equal(weight_of(in_file, name), weight_of(in_memory, name))
