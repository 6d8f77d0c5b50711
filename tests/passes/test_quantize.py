"""Which nodes compute with integers, and what they then compute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError
from graphprune.passes.base import PassResult, run_pass
from graphprune.passes.quantize import Quantize
from tests.backends.tvm.graphs import Initializer, parse, pruned

LIMIT = 6.0
"""No value of these models is larger."""


def quantized(model: ir.Model, *, keep: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> PassResult:
    """The model with one range for all values but those of the names `without`; `b` is that of a Relu."""
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    names = [str(value.name) for value in values if value.name not in without]
    ranges = tuple((name, 0.0 if name == "b" else -LIMIT, LIMIT) for name in names)
    return run_pass(Quantize(ranges=ranges, keep=keep), model)


CONVOLUTIONS = """g (float[1,3,8,8] x) => (float[1,4,1,1] y) {
    [first] a = Conv<pads=[1,1,1,1]>(x,w)
    [relu] b = Relu(a)
    [second] c = Conv<pads=[1,1,1,1]>(b,v)
    [sum] d = Add(c,b)
    [swish] e = HardSwish(d)
    [pool] f = MaxPool<kernel_shape=[2,2],strides=[2,2]>(e)
    [mean] y = GlobalAveragePool(f) }"""
WEIGHTS: dict[str, Initializer] = {"w": pruned(4, 3, 3, 3, zeros=0.5) / 4, "v": pruned(4, 4, 3, 3, zeros=0.8) / 4}


def test_feature_maps_stay_integers() -> None:
    result = quantized(parse(CONVOLUTIONS, WEIGHTS))
    assert [each.node for each in result.rewrites] == ["first", "second", "sum", "pool", "mean", "relu"]
    operators = [node.op_type for node in result.model.graph]
    assert "Relu" not in operators, "the bounds of the integers do its work"
    assert operators.count("QuantizeLinear") == 7


def test_zeros_stay_zeros_and_each_output_has_its_scale() -> None:
    model = parse(CONVOLUTIONS, WEIGHTS)
    constants = quantized(model).model.graph.initializers
    for name, weight in WEIGHTS.items():
        integers, scales = (constants[f"{name}_{what}"].const_value for what in ("quantized", "scale"))
        assert integers is not None
        assert scales is not None
        assert integers.dtype == ir.DataType.INT8
        np.testing.assert_array_equal(integers.numpy() == 0, np.abs(weight) < scales.numpy().reshape(-1, 1, 1, 1) / 2)
        assert not integers.numpy()[np.equal(weight, 0)].any()
        np.testing.assert_allclose(scales.numpy(), np.abs(weight).max((1, 2, 3)) / 127, rtol=1e-6)


def test_outputs_are_near() -> None:
    model = parse(CONVOLUTIONS, WEIGHTS)
    feed = {"x": np.random.default_rng(0).uniform(-2, 2, (1, 3, 8, 8)).astype(np.float32)}
    ours, theirs = (session_for(each).run(None, feed)[0] for each in (quantized(model).model, model))
    assert 0 < np.abs(ours - theirs).max() < 4 * 2 * LIMIT / 255


def test_a_transformer_adds_and_normalises_in_floats() -> None:
    model = parse(
        """g (float[1,4,8] x) => (float[1,4,8] y) {
        [product] a = MatMul(x,w) [gelu] b = Gelu(a) [turn] u = Transpose<perm=[1,0]>(v) [turned] c = MatMul(b,u)
        [scores] d = MatMul(c,s) [sum] e = Add(d,x) [norm] y = LayerNormalization(e,g) }""",
        {"w": (8, 16), "v": (8, 16), "s": (8, 8), "g": (8,)},
    )
    result = quantized(model)
    assert [each.node for each in result.rewrites] == ["product", "turned", "scores"]
    assert not result.skips
    assert [node.op_type for node in result.model.graph if node.op_type in ("Add", "Transpose")] == ["Add"]


def test_products_of_matrices_make_floats() -> None:
    """What is added to them may be far larger, or smaller: one range for all of their sums loses it."""
    model = parse(
        """g (float[1,8] x) => (float[1,8] y) {
        [first] a = Gemm(x,w) [relu] b = Relu(a) [second] c = MatMul(b,v) y = Add(c,x) }""",
        {"w": (8, 8), "v": (8, 8)},
    )
    result = quantized(model)
    assert [each.node for each in result.rewrites] == ["first", "second"]
    read = [node.inputs[0] for node in result.model.graph if node.op_type == "QuantizeLinear"]
    assert [value.name for value in read if value is not None] == ["x", "b"]
    assert "Relu" in {node.op_type for node in result.model.graph}


def test_products_of_activations_are_no_sites() -> None:
    result = quantized(parse("g (float[4,4] x) => (float[4,4] y) { y = MatMul(x,x) }"))
    assert not result.changed
    assert not result.skips


SKIPS: dict[str, tuple[Mapping[str, tuple[str, ...]], str]] = {
    "kept": ({"keep": ("first",)}, "first: stays as it is, as asked for [GP392]"),
    "no range of an output": ({"without": ("c",)}, "second: 'c' has no range [GP393]"),
    "no range of an input": ({"without": ("x",)}, "first: 'x' has no range [GP393]"),
}


@pytest.mark.parametrize(("options", "expected"), SKIPS.values(), ids=SKIPS)
def test_skips(options: Mapping[str, tuple[str, ...]], expected: str) -> None:
    result = quantized(parse(CONVOLUTIONS, WEIGHTS), **options)
    assert expected in [str(skip) for skip in result.skips]
    assert expected.partition(":")[0] not in {each.node for each in result.rewrites}


def test_what_never_varies_stays() -> None:
    model = parse("g (float[1,4] x) => (float[1,4] y) { [product] y = MatMul(x,w) }", {"w": (4, 4)})
    result = run_pass(Quantize(ranges=(("x", -1, 1), ("y", 0, 0))), model)
    assert [str(skip) for skip in result.skips] == ["product: 'y' never varies [GP393]"]
    assert not result.changed


def test_weights_of_other_types_stay() -> None:
    text = "g (float16[1,4] x) => (float16[1,4] y) { [product] y = MatMul(x,w) }"
    result = quantized(parse(text, {"w": np.ones((4, 4), np.float16)}))
    assert [str(skip) for skip in result.skips] == ["product: its weight is of FLOAT16, expected FLOAT [GP394]"]


def test_nodes_without_names_are_told_apart() -> None:
    model = parse(
        "g (float[1,4] x) => (float[1,4] y) { [a] h = MatMul(x,w) [a] i = MatMul(h,w) y = MatMul(i,w) }", {"w": (4, 4)}
    )
    assert [each.node for each in quantized(model).rewrites] == ["a", "a_1", "MatMul_2"]


CLIPS = {
    "Relu": ("y = Relu(c)", (0.0, 5.0), True),
    "Relu of a range below zero": ("y = Relu(c)", (-1.0, 5.0), False),
    "Clip": ("y = Clip(c,least,most)", (0.0, 6.0), True),
    "Clip to less than its range": ("y = Clip(c,least,most)", (0.0, 6.5), False),
    "Clip to above zero": ("y = Clip(c,most,)", (6.0, 9.0), False),
    "Clip to a computed bound": ("y = Clip(c,x0,)", (0.0, 6.0), False),
}


@pytest.mark.parametrize(("text", "bounds", "gone"), CLIPS.values(), ids=CLIPS)
def test_clips_go_where_the_range_does_the_same(text: str, bounds: tuple[float, float], *, gone: bool) -> None:
    model = parse(
        f"g (float[1,4,1,1] x, float x0) => (float[1,4,1,1] y) {{ c = Conv(x,w) {text} }}",
        {"w": (4, 4, 1, 1), "least": np.array(0, np.float32), "most": np.array(6, np.float32)},
    )
    result = run_pass(Quantize(ranges=(("x", -2, 2), ("c", -9, 9), ("y", *bounds))), model)
    assert ({"Relu", "Clip"} & {node.op_type for node in result.model.graph} == set()) == gone
    feed = {"x": np.array([1, -1, 0.5, 2], np.float32).reshape(1, 4, 1, 1), "x0": np.array(0, np.float32)}
    ours, theirs = (session_for(each, optimize=False).run(None, feed)[0] for each in (result.model, model))
    assert np.abs(ours - theirs).max() < 0.2


@pytest.mark.parametrize(("low", "high"), [(1.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_is_two_finite_numbers(low: float, high: float) -> None:
    with pytest.raises(InputError, match=r"quantize: 'x' has the range .* \[GP395\]"):
        run_pass(Quantize(ranges=(("x", low, high),)), parse(CONVOLUTIONS, WEIGHTS))


def test_a_node_to_keep_must_be_there() -> None:
    with pytest.raises(InputError, match=r"no node is named 'third' that could stay as it is \[GP396\]"):
        quantized(parse(CONVOLUTIONS, WEIGHTS), keep=("third",))


def test_corrections_are_of_each_channel() -> None:
    """What a bias gets: that of a node that stays in floats is left alone."""
    model = parse(CONVOLUTIONS, WEIGHTS)
    ranges = tuple((str(value.name), -LIMIT, LIMIT) for node in model.graph for value in node.outputs)
    pass_ = Quantize((("x", -LIMIT, LIMIT), *ranges), ("second",), (("first", (0.5,) * 4), ("second", (9.0,) * 4)))
    result = run_pass(pass_, model)
    corrected = [str(each) for each in result.rewrites if each.rule != "integers"]
    assert corrected == ["correct-bias: first: 4 channels shifted"]
    scale, integers = (result.model.graph.initializers[f"w_bias_quantized{what}"] for what in ("_scale", ""))
    assert scale.const_value is not None
    assert integers.const_value is not None
    np.testing.assert_allclose(integers.const_value.numpy() * scale.const_value.numpy(), 0.5, atol=0.01)


@pytest.mark.parametrize("amounts", [(1.0,), (1.0, 1.0, 1.0, float("nan"))])
def test_corrections_fit(amounts: tuple[float, ...]) -> None:
    model = parse("g (float[1,4] x) => (float[1,4] y) { [product] y = Gemm(x,w) }", {"w": (4, 4)})
    with pytest.raises(InputError, match=r"'product' has \d corrections, expected 4 finite ones \[GP397\]"):
        run_pass(Quantize((("x", -1, 1), ("y", -9, 9)), corrections=(("product", amounts),)), model)


def test_a_node_to_correct_must_be_there() -> None:
    with pytest.raises(InputError, match=r"no node is named 'third' that could be corrected \[GP396\]"):
        run_pass(Quantize((), corrections=(("third", (1.0,)),)), parse(CONVOLUTIONS, WEIGHTS))
