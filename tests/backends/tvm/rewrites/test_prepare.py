from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites import prepare as prepare_module
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.errors import UnsupportedModelError
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import assert_equal_on, compile_, kernels, operators, parse, prepared, pruned

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_what_shapes_and_constants_determine_is_computed() -> None:
    text = """g (float[2,3] x) => (float[6] y, int64 n) {
        s = Shape(x)
        first = Constant<value = int64[1] {0}>()
        rows = Gather(s,first)
        columns = Constant<value = int64[1] {3}>()
        total = Mul(rows,columns)
        y = Reshape(x,total)
        n = Size(x) }"""
    model = parse(text)
    assert operators(model) == ["Reshape"]
    assert_equal_on({"x": X}, model)


def test_a_branch_with_a_known_condition_is_taken() -> None:
    text = """g (float[2,3] x) => (float[2,3] y) {
        y = If<then_branch = t () => (float[2,3] a) { b = Neg(x)  a = Add(b,one) },
               else_branch = e () => (float[2,3] c) { c = Abs(x) }>(cond) }"""
    model = parse(text, {"cond": np.array(True), "one": np.array(1, np.float32)})  # noqa: FBT003 - a value of the graph
    assert operators(model) == ["Neg", "Add", "Identity"]
    assert_equal_on({"x": X}, model)


def test_a_branch_that_returns_an_outer_value() -> None:
    text = """g (float[2,3] x) => (float[2,3] y) {
        h = Neg(x)
        z = If<then_branch = t () => (float[2,3] a) { a = Identity(h) },
               else_branch = e () => (float[2,3] c) { c = Abs(x) }>(cond)
        y = Add(z,h) }"""
    model = parse(text, {"cond": np.array([True])})
    assert_equal_on({"x": X}, model)


def test_outputs_that_are_inputs_constants_or_the_same() -> None:
    text = """g (float[2,3] x) => (float[2,3] x, float[2] c, float[2,3] y, float[2,3] z, int64[2] s) {
        c = Constant<value = float[2] {1.0, 2.0}>()
        y = Neg(x)
        z = Identity(y)
        s = Shape(x) }"""
    assert_equal_on({"x": X}, parse(text))


def test_tensors_without_elements_are_constants() -> None:
    text = """g (float[2,3] x) => (float[2,3] y, float[0,3] e) {
        e = Slice(x,zero,zero)
        t = Neg(e)
        y = Concat<axis=0>(t,x) }"""
    assert_equal_on({"x": X}, parse(text, {"zero": np.array([0])}))


def test_scalars_in_and_out() -> None:
    text = "g (float x, int64 i) => (float y, int64 j) { y = Exp(x)\n j = Add(i,i) }"
    assert_equal_on({"x": np.array(0.5, np.float32), "i": np.array(3)}, parse(text))


def test_operators_without_a_kernel_are_expanded_by_their_definition() -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { y = MeanVarianceNormalization<axes=[1]>(x) }"
    assert "MeanVarianceNormalization" not in operators(parse(text))
    text = "g (float[2,3] x, float16 t) => (float16[2,3] y) { y = CastLike(x,t) }"
    assert operators(parse(text)) == ["Cast"]


def test_definitions_of_other_opsets_agree() -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { y = Softsign(x) }"
    for opset in (18, 20, 22, 25):
        np.testing.assert_allclose(compile_(parse(text, opset=opset)).run(None, {"x": X})[0], X / (1 + X), rtol=1e-6)


def test_every_node_that_cannot_be_lowered_is_listed() -> None:
    text = """g (float[4] x, int64[1] s) => (int64[1,n] y, float[4] z, float[m] w) {
        y = NonZero(x)
        z = RandomNormalLike(x)
        w = Reshape(x,s) }"""
    expected = (
        r"cannot lower 3 nodes \(--fallback onnxruntime runs them there\): "
        r"'NonZero_0' \(NonZero\): there is no kernel for this operator; "
        r"'RandomNormalLike_1' \(RandomNormalLike\): its result is random; "
        r"'Reshape_2' \(Reshape\): input 's' must be constant \[GP401\]"
    )
    with pytest.raises(UnsupportedModelError, match=expected):
        prepared(parse(text))


def test_an_old_opset_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"the model has opset 13, expected at least 18 \[GP415\]"):
        prepared(parse("g (float[2] x) => (float[2] y) { y = Relu(x) }", opset=13))


def test_values_without_a_static_shape_are_listed() -> None:
    with pytest.raises(UnsupportedModelError, match=r"no static shape for 1 values \(.*\): 'y' \[GP403\]"):
        prepared(parse("g (float[n] x) => (float[n] y) { y = Relu(x) }"))


def test_text_that_goes_through_is_refused() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"value 's' is of STRING, for which there are no kernels \[GP516\]"
    ):
        prepared(parse("g (float[2] x, string[2] s) => (float[2] y, string[2] s) { y = Relu(x) }"))


def test_the_model_given_stays_as_it_is() -> None:
    model = parse("g (float[2,3] x) => (int64[2] y) { y = Shape(x) }")
    prepared(model)
    assert [node.op_type for node in model.graph] == ["Shape"]


def test_only_packed_calls_without_a_kernel_become_dense() -> None:
    text = """g (float[1,8,1,4,4] x) => (float[1,8,16] y) {
        a = Conv(x,w)
        b = Reshape(a,s)
        y = Conv<pads=[1,1]>(b,v) }"""
    weights = {"w": pruned(8, 8, 1, 1, 1, zeros=0.9), "v": pruned(8, 8, 3, zeros=0.9), "s": np.array([1, 8, 16])}
    model = run_pass(PackWeights(layout="rows"), parse(text, weights)).model
    assert [node.op_type for node in model.graph] == ["PackedConv", "Reshape", "PackedConv"]
    assert operators(model) == ["Reshape", "Conv", "Reshape", "Reshape", "PackedConv"]
    assert_equal_on({"x": np.random.default_rng(0).standard_normal((1, 8, 1, 4, 4)).astype(np.float32)}, model)


@pytest.mark.parametrize("layout", ["rows", "bitmask", "4:8", "block 4x1"])
@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_a_pruned_convolution_of_any_rank(axes: int, layout: str) -> None:
    extents, kernel = ",".join("4" * axes), (3,) * axes
    attributes = f"pads=[{','.join('1' * 2 * axes)}]"
    text = f"g (float[2,8,{extents}] x) => (float[2,8,{extents}] y) {{ y = Conv<{attributes}>(x,w) }}"
    model = run_pass(PackWeights(layout=layout), parse(text, {"w": pruned(8, 8, *kernel, zeros=0.95)})).model
    assert [node.op_type.startswith("Packed") for node in model.graph] == [True]
    assert_equal_on({"x": np.random.default_rng(0).standard_normal((2, 8, *[4] * axes)).astype(np.float32)}, model)


def test_more_elements_than_kernels_count_are_refused() -> None:
    text = (
        "g (float[65536,1] x, float[1,65536] z) => (float[65536] y) { h = Add(x, z)  y = ReduceMax<keepdims=0>(h, a) }"
    )
    message = r"^value 'h' has 4294967296 elements, expected at most 2147483647 \[GP263\]$"
    with pytest.raises(UnsupportedModelError, match=message):
        prepared(parse(text, {"a": np.array([1])}))


def test_so_are_those_of_an_operator_that_is_written_as_others() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^value 'x' has 4\d{18}.* elements.* \[GP263\]$"):
        prepared(parse(f"g (float[1,{1 << 62},1] x) => (float[1,n,2] y) {{ y = DFT(x) }}", opset=20))


def test_what_only_decodes_a_weight_is_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "g (float[3,2,8] x) => (float[3,1,2,16] y) { y = RNN<hidden_size=16>(x,w,r) }"
    model = parse(text, {"w": pruned(1, 16, 8, zeros=0.9), "r": pruned(1, 16, 16, zeros=0.9) / 4})
    packed = run_pass(PackWeights(), model).model
    assert [node.op_type for node in packed.graph] != ["RNN"]
    monkeypatch.setattr(prepare_module, "evaluate", None)
    assert [node.op_type for node in prepare(packed, lambda node: refusal(node, OPERATORS)).graph] == ["RNN"]
    assert_equal_on({"x": np.ones((3, 2, 8), np.float32)}, packed)


def test_what_a_definition_passes_through_is_gone() -> None:
    model = parse(
        "g (float[1,2,8,16] x, float[1,8,8] c, float[1,8,8] s) => (float[1,2,8,16] y) { y = RotaryEmbedding(x,c,s) }",
        opset=23,
    )
    assert kernels(model) == ["elementwise", "elementwise", "concat"]
