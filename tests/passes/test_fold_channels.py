"""Zero channels are taken out: on real models, with exact counts, and what has to stay is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.channels import channel_groups
from graphprune.analysis.constants import DerivedTensor, source_of
from graphprune.frontends.onnx_file import load, save
from graphprune.passes.base import run_pass
from graphprune.passes.fold_channels import FoldChannels
from graphprune.passes.prune_channels import PruneChannels
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.stages.stage import Stage, get_stage
from graphprune.testing import models
from graphprune.testing.check_pass import check_pass
from tests.analysis.channels.masking import check_equal
from tests.planning.channels.channel_model import MODEL
from tests.weighted import inferred_model, weight_of


def network() -> ir.Model:
    return inferred_model(MODEL, {"w_var": np.linspace(0.5, 2, 16, dtype=np.float32)})


def pruned(model: ir.Model, sparsity: float = 0.5) -> ir.Model:
    return run_pass(PruneChannels(plan(model, Recipe(sparsity=sparsity, pattern="channel"))), model).model


def parameters(model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(tensor.size for tensor in tensors if tensor is not None)


def shapes(model: ir.Model) -> dict[str, list[int]]:
    return {str(name): list(value.const_value.shape.numpy()) for name, value in model.graph.initializers.items()}  # type: ignore[union-attr]


def test_a_convolutional_network_gets_smaller() -> None:
    model = network()
    result = check_pass(FoldChannels(), pruned(model))
    assert get_stage(result.model) is Stage.SPARSE
    before, after = shapes(model), shapes(result.model)
    halved = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert halved["w1"] == ([16, 3, 3, 3], [8, 3, 3, 3])
    assert halved["w2"] == ([24, 16, 3, 3], [12, 8, 3, 3])
    assert halved["w_mean"] == ([16], [8])
    assert result.channel_map is not None
    kept = list(result.channel_map["w1"])
    assert weight_of(result.model, "w1").tobytes() == weight_of(pruned(model), "w1")[kept].tobytes()
    assert result.rewrites[0].detail == "8 of 16 channels (50.0%) removed from 6 constants"


# What is left of the parameters; of BERT and ViT, the hidden size and the embeddings stay.
LEFT = {
    ("resnet_tiny", 0.3): 0.51,
    ("resnet_tiny", 0.5): 0.29,
    ("mobilenet_tiny", 0.5): 0.29,
    ("bert_tiny", 0.3): 0.81,
    ("bert_tiny", 0.5): 0.67,
    ("vit_tiny", 0.5): 0.57,
    ("light_shufflenet", 0.5): 0.38,
    ("light_squeezenet", 0.5): 0.36,
}


@pytest.mark.parametrize(("name", "sparsity"), LEFT)
def test_real_models(name: str, sparsity: float) -> None:
    model = models.build(name)
    result = check_pass(FoldChannels(), pruned(model, sparsity), cases=1)
    assert parameters(result.model) <= LEFT[name, sparsity] * parameters(model)
    assert {rewrite.node for rewrite in result.rewrites} == {group.name for group in channel_groups(model)[0]}
    assert result.skips == ()


LAYERS = """main (float[N,3] x, float[3,4] w1, float[4,5] w2, float[5,2] w3) => (float[N,2] y) {
    a = MatMul (x, w1) b = Relu (a) c = MatMul (b, w2) d = Relu (c) y = MatMul (d, w3) }"""


def test_a_dead_layer_keeps_one_channel() -> None:
    model = inferred_model(LAYERS, {"w1": np.zeros((3, 4), np.float32)})
    result = check_pass(FoldChannels(), model)
    assert shapes(result.model) == {"w1": [3, 1], "w2": [1, 1], "w3": [1, 2]}
    reason = "all {} channels are constant; one stays, for no tensor may be empty"
    assert [(skip.code, skip.node, skip.reason) for skip in result.skips] == [
        ("GP381", "w1", reason.format(4)),
        ("GP381", "w2", reason.format(5)),
        ("GP370", "w3", "2 zero channels stay: 2 channels cannot be removed: they reach the graph output 'y'"),
    ]


def test_what_reads_removed_channels_alone_goes_too() -> None:
    first, second = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    first[:, 1:3] = 0
    second[[0, 3], :2] = 0
    result = check_pass(FoldChannels(), inferred_model(LAYERS, {"w1": first, "w2": second}))
    assert shapes(result.model) == {"w1": [3, 2], "w2": [2, 3], "w3": [3, 2]}


def test_nothing_is_zero_and_nothing_changes() -> None:
    result = check_pass(FoldChannels(), network())
    assert not result.changed
    assert result.skips == ()


HEADER20 = '<ir_version: 10, opset_import: ["" : 20]>\n'
LAYER = """main (float[N,3] x, float[3,4] w1, float[4] w_b, float[4,2] w2) => (float[N,2] y) {
    a = MatMul (x, w1) b = Add (a, w_b) c = %s (b) y = MatMul (c, w2) }"""


def zero_columns(*columns: int) -> dict[str, np.ndarray]:
    array = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
    array[:, list(columns)] = 0
    return {"w1": array, "w_b": np.array([0, 0, 0, 7], np.float32)}


@pytest.mark.parametrize(
    "between", ["Sigmoid", "Relu", "Softplus", "Tanh", "Exp", "Gelu", "HardSwish", "LeakyRelu", "Elu", "Abs", "Cos"]
)
def test_constants_go_into_the_bias_behind(between: str) -> None:
    model = inferred_model(HEADER20 + LAYER % between, zero_columns(0, 3))
    result = check_pass(FoldChannels(), model)
    if between == "Elu":  # of which nothing is known but that zero stays zero
        assert [(skip.code, skip.node) for skip in result.skips] == [("GP382", "w1")]
        return
    assert shapes(result.model)["w1"] == [3, 2]
    assert result.skips == ()


TWO_ROUNDS = """main (float[1,3,8,8] x, float[8,3,3,3] w1, float[8] w_scale, float[8] w_shift, float[8] w_mean,
    float[8] w_var, float[4,8,1,1] w2, float[4] w_b, float[6,4,2,2] w3) => (float[1,6,a,b] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1) b = BatchNormalization (a, w_scale, w_shift, w_mean, w_var)
    c = HardSwish (b) d = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1], strides = [2,2]> (c)
    e = Conv (d, w2, w_b) f = Relu (e) y = Conv (f, w3) }"""


def two_rounds(text: str = TWO_ROUNDS) -> ir.Model:
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((8, 3, 3, 3)), rng.standard_normal((4, 8, 1, 1))
    first[[1, 2, 6]] = 0
    second[2, [0, 3, 4, 5, 7]] = 0  # what reads constants alone is a constant itself
    variance = rng.uniform(0.5, 2, 8)
    weights = {"w1": first, "w2": second, "w_var": variance, "w_b": np.array([1.0, 2.0, 30.0, 4.0])}
    return inferred_model(text, {name: array.astype(np.float32) for name, array in weights.items()})


def test_constants_go_through_norms_and_pools_into_convolutions() -> None:
    result = check_pass(FoldChannels(), two_rounds())
    assert shapes(result.model)["w1"] == [5, 3, 3, 3]
    assert shapes(result.model)["w2"] == [3, 5, 1, 1]
    assert shapes(result.model)["w3"] == [6, 3, 2, 2]
    assert result.channel_map == {"w1": (0, 3, 4, 5, 7), "w2": (0, 1, 3)}


def test_what_the_last_round_leaves_is_said() -> None:
    result = check_pass(FoldChannels(), two_rounds(TWO_ROUNDS.replace("(f, w3)", "<pads = [1,1,1,1]> (f, w3)")))
    assert shapes(result.model)["w2"] == [4, 5, 1, 1]
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP380", "w2")]


def test_constants_go_into_a_gemm() -> None:
    text = """main (float[N,3] x, float[3,4] w1, float[4] w_b, float[2,4] w2, float[2] w_c) => (float[N,2] y) {
        a = MatMul (x, w1) b = Add (a, w_b) y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (b, w2, w_c) }"""
    result = check_pass(FoldChannels(), inferred_model(text, zero_columns(3)))
    assert shapes(result.model)["w2"] == [2, 3]


def test_a_depthwise_weight_is_no_constant_of_its_channel() -> None:
    """Found by random graphs: one number a channel is a factor there, and not what the channel is."""
    text = """main (float[1,3,4,4] x, float[4,3,1,1] w1, float[4,1,1,1] w2, float[2,4,1,1] w3) => (float[1,2,4,4] y) {
        a = Conv (x, w1) b = Conv <group = 4> (a, w2) y = Conv (b, w3) }"""
    first = np.ones((4, 3, 1, 1), np.float32)
    first[2] = 0
    result = check_pass(FoldChannels(), inferred_model(text, {"w1": first}))
    assert shapes(result.model) == {"w1": [3, 3, 1, 1], "w2": [3, 1, 1, 1], "w3": [2, 3, 1, 1]}


def test_padding_around_a_constant_is_said() -> None:
    text = """main (float[1,3,8,8] x, float[4,3,1,1] w1, float[4] w_b, float[2,4,3,3] w2) => (float[1,2,8,8] y) {
        a = Conv (x, w1, w_b) y = Conv <pads = [1,1,1,1]> (a, w2) }"""
    first = np.ones((4, 3, 1, 1), np.float32)
    first[[0, 3]] = 0
    model = inferred_model(text, {"w1": first, "w_b": np.array([0, 0, 0, 7], np.float32)})
    result = check_pass(FoldChannels(), model)
    assert shapes(result.model)["w1"] == [3, 3, 1, 1]
    (skip,) = result.skips
    assert (skip.code, skip.node) == ("GP380", "w1")
    assert skip.reason.startswith("the weights of 1 channels are zero, but node")
    assert skip.reason.endswith("reads 7 of them, and cannot take that into a bias")


def test_what_is_not_constant_is_said() -> None:
    text = """main (float[N,3] x, float[N,4] z, float[3,4] w1, float[4,2] w2) => (float[N,2] y) {
        a = MatMul (x, w1) b = Exp (a) s = ReduceMax <keepdims = 1> (z) c = Mul (b, s) y = MatMul (c, w2) }"""
    result = check_pass(FoldChannels(), inferred_model(text, zero_columns(3)))
    assert not result.changed
    (skip,) = result.skips
    assert (skip.code, skip.node) == ("GP382", "w1")
    assert skip.reason.endswith("reads something else of them")


def test_blocked_channels_are_said() -> None:
    text = "main (float[N,3] x, float[3,4] w1) => (float[N,4] y) { y = MatMul (x, w1) }"
    result = check_pass(FoldChannels(), inferred_model(text, zero_columns(1)))
    assert not result.changed
    reason = "1 zero channels stay: 4 channels cannot be removed: they reach the graph output 'y'"
    assert [(skip.code, skip.reason) for skip in result.skips] == [("GP370", reason)]


def test_weights_in_a_file_stay_there(tmp_path: Path) -> None:
    """What is left of them is made when it is read, also when it takes the place of the file."""
    text = """main (float[N,64] x, float[64,96] w1, float[96,64] w2) => (float[N,64] y) {
        h = MatMul (x, w1) y = MatMul (h, w2) }"""
    model = inferred_model(text)
    save(model, tmp_path / "m.onnx", limit=1000)
    in_memory, in_file = (run_pass(FoldChannels(), pruned(each)).model for each in (model, load(tmp_path / "m.onnx")))
    for name in ("w1", "w2"):
        tensor = in_file.graph.initializers[name].const_value
        assert isinstance(tensor, DerivedTensor)
        assert isinstance(source_of(tensor), ir.ExternalTensor)
        assert np.array_equal(weight_of(in_file, name), weight_of(in_memory, name))
    save(in_file, tmp_path / "m.onnx", limit=1000)
    assert np.array_equal(weight_of(load(tmp_path / "m.onnx"), "w1"), weight_of(in_file, "w1"))
    check_equal(in_memory, load(tmp_path / "m.onnx"))


def test_a_value_of_unknown_rank_elsewhere_stays_as_it_is() -> None:
    text = """g (float[1,8,16] x, bool c, float[8,8,3] w1, float[4,8,3] w2)
        => (float[1,4,16] y, int64[k] s) <int64[1] first = {0}> {
        h = Conv <pads = [1,1]> (x, w1)
        y = Conv <pads = [1,1]> (h, w2)
        q = If (c) <then_branch = t () => (float[8,16] a) { a = Squeeze (x, first) },
                    else_branch = e () => (float[1,8,16] b) { b = Identity (x) }>
        s = Shape (q)
    }"""
    assert shapes(run_pass(FoldChannels(), pruned(inferred_model(text))).model)["w1"] == [4, 8, 3]
