"""Which weights are pruned by default, and why the others are not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from graphprune.analysis.weights import linear_weights, prunable_weights
from graphprune.masks.axes import WeightAxes
from tests.weighted import weighted_model

PRUNABLE = {
    "convolution": ("main (float[N,8,6,6] x, float[4,8,3,3] w) => (float[N,4,4,4] y) { y = Conv (x, w) }", 0),
    "one-dimensional convolution": ("main (float[N,8,6] x, float[4,8,3] w) => (float[N,4,4] y) { y = Conv (x, w) }", 0),
    "convolution of a permuted weight": (
        """main (float[N,8,6,6] x, float[3,3,8,4] w) => (float[N,4,4,4] y) {
            t = Transpose <perm = [3, 2, 0, 1]> (w)
            y = Conv (x, t)
        }""",
        3,
    ),
    "convolution with groups": (
        "main (float[N,8,6,6] x, float[4,2,3,3] w) => (float[N,4,4,4] y) { y = Conv <group = 4> (x, w) }",
        0,
    ),
    "transposed convolution": (
        "main (float[N,8,6,6] x, float[8,4,3,3] w) => (float[N,4,8,8] y) { y = ConvTranspose (x, w) }",
        1,
    ),
    "matmul": ("main (float[N,3] x, float[3,4] w) => (float[N,4] y) { y = MatMul (x, w) }", 1),
    "linear as torch exports it": (
        "main (float[B,S,3] x, float[4,3] w) => (float[B,S,4] y) { t = Transpose (w) y = MatMul (x, t) }",
        0,
    ),
    "matmul from the left": ("main (float[3,N] x, float[4,3] w) => (float[4,N] y) { y = MatMul (w, x) }", 0),
    "gemm": ("main (float[N,3] x, float[3,4] w) => (float[N,4] y) { y = Gemm (x, w) }", 1),
    "gemm transB": ("main (float[N,3] x, float[4,3] w) => (float[N,4] y) { y = Gemm <transB = 1> (x, w) }", 0),
    "gemm from the left": ("main (float[3,N] x, float[4,3] w) => (float[4,N] y) { y = Gemm (w, x) }", 0),
    "gemm from the left, transA": (
        "main (float[3,N] x, float[3,4] w) => (float[4,N] y) { y = Gemm <transA = 1> (w, x) }",
        1,
    ),
}


@pytest.mark.parametrize(("text", "rows_axis"), PRUNABLE.values(), ids=PRUNABLE)
def test_prunable(text: str, rows_axis: int) -> None:
    (weight,), skips = prunable_weights(weighted_model(text))
    assert weight.name == "w"
    assert weight.node.op_type in text
    assert weight.uses[0].rows_axis == rows_axis
    assert skips == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_every_floating_type_is_prunable(dtype: str) -> None:
    text = f"main ({dtype}[N,3] x, {dtype}[3,4] w) => ({dtype}[N,4] y) {{ y = MatMul (x, w) }}"
    (weight,), _ = prunable_weights(weighted_model(text))
    assert weight.shape == (3, 4)


def test_rows_are_output_features() -> None:
    array = np.arange(4 * 8 * 3 * 3, dtype=np.float32).reshape(4, 8, 3, 3)
    (direct,), _ = prunable_weights(weighted_model(PRUNABLE["convolution"][0], {"w": array}))
    np.testing.assert_array_equal(direct.uses[0].matrix(array), array.reshape(4, -1))
    permuted = np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    (turned,), _ = prunable_weights(weighted_model(PRUNABLE["convolution of a permuted weight"][0], {"w": permuted}))
    np.testing.assert_array_equal(turned.uses[0].matrix(permuted), array.reshape(4, -1))
    inputs_first = np.ascontiguousarray(array.transpose(1, 0, 2, 3))
    (back,), _ = prunable_weights(weighted_model(PRUNABLE["transposed convolution"][0], {"w": inputs_first}))
    np.testing.assert_array_equal(back.uses[0].matrix(inputs_first), array.reshape(4, -1))
    assert back.axes == WeightAxes(1, 0)


@pytest.mark.parametrize("case", ["matmul", "linear as torch exports it", "gemm", "gemm transB"])
def test_rows_give_what_the_operator_gives(case: str) -> None:
    model = weighted_model(PRUNABLE[case][0])
    (weight,), _ = prunable_weights(model)
    rank = 3 if "B,S" in PRUNABLE[case][0] else 2
    x = np.random.default_rng(1).standard_normal((2,) * (rank - 1) + (3,)).astype(np.float32)
    (expected,) = ReferenceEvaluator(ir.to_proto(model)).run(None, {"x": x})
    assert isinstance(expected, np.ndarray)
    np.testing.assert_allclose(x @ weight.uses[0].matrix(weight.tensor.numpy()).T, expected, rtol=1e-6)


def test_the_weight_of_a_constant_node() -> None:
    text = "main (float[N,2] x) => (float[N,2] y) { k = Constant <value = float[2,2] {1,2,3,4}> () y = MatMul (x, k) }"
    (weight,), skips = prunable_weights(weighted_model(text))
    assert (weight.name, skips) == ("k", [])


def test_a_shared_weight_comes_once_with_all_its_uses() -> None:
    model = weighted_model("""main (float[N,3] x, float[3,3] w) => (float[N,3] y) {
        a = MatMul (x, w)
        t = Transpose (w)
        y = Gemm (a, t)
    }""")
    (weight,), skips = prunable_weights(model)
    assert [(use.node.op_type, use.rows_axis) for use in weight.uses] == [("MatMul", 1), ("Gemm", 0)]
    assert skips == []


def test_weights_come_in_the_order_of_their_nodes_and_small_ones_are_of_no_interest() -> None:
    model = weighted_model("""main (float[N,3] x, float[4,2] w_a, float[4] w_bias, float[3,4] w_b) => (float[N,2] y) {
        a = MatMul (x, w_b)
        b = Add (a, w_bias)
        y = MatMul (b, w_a)
    }""")
    weights, skips = prunable_weights(model)
    assert [weight.name for weight in weights] == ["w_b", "w_a"]
    assert skips == []


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_weights_are_matrices_a_direction(operator: str, gates: int) -> None:
    rows = 5 * gates
    text = f"""main (float[9,N,3] x, float[2,{rows},3] w, float[2,{rows},5] w_r) => (float[9,2,N,5] y) {{
        y = {operator} <hidden_size = 5, direction = "bidirectional"> (x, w, w_r) }}"""
    weights, skips = prunable_weights(weighted_model(text))
    assert [(weight.name, weight.axes, weight.uses[0].is_recurrent) for weight in weights] == [
        ("w", WeightAxes(1, 2), True), ("w_r", WeightAxes(1, 2), True)
    ]  # fmt: skip
    assert skips == []


def test_a_quantized_weight_is_what_it_stands_for() -> None:
    text = """main (float[N,3] x, int8[3,4] w, float[1] w_s) => (float[N,4] y) {
        d = DequantizeLinear (w, w_s) y = MatMul (x, d) }"""
    array = np.arange(12, dtype="int8").reshape(3, 4)
    (weight,), skips = prunable_weights(weighted_model(text, {"w": array, "w_s": np.array([0.5], "float32")}))
    assert (weight.name, weight.node.op_type, skips) == ("w", "MatMul", [])
    assert np.array_equal(weight.real_values(), array / 2)
    assert np.array_equal(weight.zeroed(array > 5), np.where(array > 5, array, 0))


GATHERED = "is read by node 'e' (Gather), which takes no weight that can be pruned: it stays dense"
REFUSED = {
    "GP301 embedding": (
        "main (int64[N] ids, float[9,3] w) => (float[N,3] y) { y = Gather (w, ids) }",
        "w: is read by node 'y' (Gather), which takes no weight that can be pruned: it stays dense [GP301]",
    ),
    "GP301 constant": (
        """main (float[2,3] x, float[6,3] w) => (float[2,3] y) <int64[1] a = {0}, int64[1] b = {3}> {
            s = Slice (w, a, b, a) y = MatMul (x, s) }""",
        "w: is read by node 's' (Slice), which makes another constant of it: `graphprune fold` first [GP301]",
    ),
    "GP301 scales of blocks": (
        """<ir_version: 10, opset_import: ["" : 21]> main (float[2,8] x, int8[8,4] v, float[2,4] w) => (float[2,4] y) {
            d = DequantizeLinear <axis = 0, block_size = 4> (v, w) y = MatMul (x, d) }""",
        "w: is read by node 'd' (DequantizeLinear), which takes no weight that can be pruned: it stays dense [GP301]",
    ),
    "GP301 of another domain": (
        """<ir_version: 10, opset_import: ["" : 18, "com.acme" : 1]>
        main (float[2,3] x, float[2,3] w) => (float[2,3] y) {
            d = com.acme.Scale (w) y = Add (x, d) }""",
        "w: is read by node 'd' (Scale), which takes no weight that can be pruned: it stays dense [GP301]",
    ),
    "GP301 bias matrix": (
        "main (float[2,3] x, float[2,3] w) => (float[2,3] y) { y = Add (x, w) }",
        "w: is read by node 'y' (Add), which takes no weight that can be pruned: it stays dense [GP301]",
    ),
    "GP301 unused": ("main (float[2] x, float[2,3] w) => (float[2] y) { y = Neg (x) }", "w: no node reads it [GP301]"),
    "GP302 depthwise": (
        "main (float[N,8,6,6] x, float[8,1,3,3] w) => (float[N,8,4,4] y) { y = Conv <group = 8> (x, w) }",
        "w: node 'y' (Conv) is depthwise, it has 8 groups [GP302]",
    ),
    "GP302 transposed": (
        "main (float[N,8,6,6] x, float[8,4,3,3] w) => (float[N,8,8,8] y) { y = ConvTranspose <group = 2> (x, w) }",
        "w: node 'y' (ConvTranspose) is transposed and has 2 groups [GP302]",
    ),
    "GP303 few channels": (
        "main (float[N,3,6,6] x, float[8,3,3,3] w) => (float[N,8,4,4] y) { y = Conv (x, w) }",
        "w: node 'y' (Conv) has 3 input channels, fewer than 8 [GP303]",
    ),
    "GP304 integers": (
        "main (int32[N,3] x, int32[3,4] w) => (int32[N,4] y) { y = MatMul (x, w) }",
        "w: holds int32, not floating-point numbers [GP304]",
    ),
    "GP304 quantised": (
        "main (float[N,3] x, int8[3,4] w, float s) => (float[N,4] y) { d = DequantizeLinear (w, s) y = MatMul (x, d) }",
        "w: holds int8, not floating-point numbers [GP304]",
    ),
    "GP305 tied embedding": (
        """main (int64[N] ids, float[9,3] w) => (float[N,9] y) {
            e = Gather (w, ids)
            t = Transpose <perm = [1, 0]> (w)
            y = MatMul (e, t)
        }""",
        f"w: is shared, and not every reader can take zeros: {GATHERED} [GP305]",
    ),
    "GP301 bias of a product": (
        "main (float[2,3] x, float[2,3] v, float[3,3] w) => (float[3,3] y) { y = Gemm <transA = 1> (x, v, w) }",
        "w: is read by node 'y' (Gemm) as input 2, which is no weight: it stays dense [GP301]",
    ),
    "GP307 passed into a function": (
        """<ir_version: 10, opset_import: ["" : 18, "my" : 1]>
        main (float[2,3] x, float[3,4] w) => (float[2,4] y) { y = my.Project (x, w) }
        <domain: "my", opset_import: ["" : 18]>
        Project (a, b) => (c) { c = MatMul (a, b) }""",
        "w: is passed into a function, by node 'y' (Project) [GP307]",
    ),
    "GP307 lives in a function": (
        """<ir_version: 10, opset_import: ["" : 18, "my" : 1]>
        main (float[2,2] x) => (float[2,2] y) { y = my.Project (x) }
        <domain: "my", opset_import: ["" : 18]>
        Project (a) => (c) { k = Constant <value = float[2,2] {1, 2, 3, 4}> () c = MatMul (a, k) }""",
        "k: lives in the function 'Project' [GP307]",
    ),
    "GP307 lives in a branch inside a function": (
        """<ir_version: 10, opset_import: ["" : 18, "my" : 1]>
        main (float[2,2] x, bool c) => (float[2,2] y) { y = my.Project (x, c) }
        <domain: "my", opset_import: ["" : 18]>
        Project (a, c) => (r) {
            r = If (c) <
                then_branch = yes () => (p) { k = Constant <value = float[2,2] {1, 2, 3, 4}> () p = MatMul (a, k) },
                else_branch = no () => (q) { q = Neg (a) }
            >
        }""",
        "k: lives in the function 'Project' [GP307]",
    ),
    "GP308 result of a branch": (
        """main (bool c, float[3,4] x, float[3,4] w) => (float[3,4] y) {
            y = If (c) <
                then_branch = yes () => (float[3,4] a) { a = Identity (w) },
                else_branch = no () => (float[3,4] b) { b = Neg (x) }
            >
        }""",
        "w: is a graph output [GP308]",
    ),
    "GP309 stacked matrices": (
        "main (float[N,2,5,3] x, float[2,3,4] w) => (float[N,2,5,4] y) { y = MatMul (x, w) }",
        "w: node 'y' (MatMul) multiplies by matrices stacked to rank 3, expected rank 2 [GP309]",
    ),
    "GP310 empty": (
        "main (float[N,0] x, float[0,4] w) => (float[N,4] y) { y = MatMul (x, w) }",
        "w: is empty: its shape is [0, 4] [GP310]",
    ),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name(text: str, expected: str) -> None:
    weights, skips = prunable_weights(weighted_model(text))
    assert weights == []
    assert [str(skip) for skip in skips] == [expected]


BRANCHES = """main (bool c, float[2,3] x, float[3,4] w, float[4,3] w_after) => (float[2,3] y) {
    r = If (c) <
        then_branch = yes () => (float[2,4] a) <float[3,4] k = {1,2,3,4,5,6,7,8,9,10,11,12}> { a = MatMul (x, k) },
        else_branch = no () => (float[2,4] b) { b = MatMul (x, w) }
    >
    y = MatMul (r, w_after)
}"""


def test_weights_inside_branches_come_where_these_are() -> None:
    weights, skips = prunable_weights(weighted_model(BRANCHES))
    assert [(weight.name, weight.node.outputs[0].name) for weight in weights] == [
        ("k", "a"), ("w", "b"), ("w_after", "y")
    ]  # fmt: skip
    assert skips == []


def test_a_weight_that_the_main_graph_reads_otherwise_stays_dense() -> None:
    text = BRANCHES.replace("w_after", "w_t").replace(
        "y = MatMul (r, w_t)", "t = Neg (w) s = MatMul (t, w_t) y = MatMul (r, w_t)"
    )
    assert [str(skip)[:24] for skip in prunable_weights(weighted_model(text))[1]] == ["w: is shared, and not ev"]


def test_a_weight_that_is_also_an_output_is_refused() -> None:
    text = "main (float[N,3] x, float[3,4] w) => (float[N,4] y, float[3,4] z) { y = MatMul (x, w) z = Identity (w) }"
    weights, skips = prunable_weights(weighted_model(text))
    reason = "w: is shared, and not every reader can take zeros: is a graph output [GP305]"
    assert (weights, [str(skip) for skip in skips]) == ([], [reason])


def test_a_constant_output_is_refused() -> None:
    text = "main (float[2] x, float[3,4] w) => (float[2] y, float[3,4] z) { y = Neg (x) z = Identity (w) }"
    assert [skip.code for skip in prunable_weights(weighted_model(text))[1]] == ["GP308"]


def test_the_product_of_two_constants_is_left_to_folding() -> None:
    text = (
        "main (float[2,4] x, float[2,3] w_a, float[3,4] w_b) => (float[2,4] y) { p = MatMul (w_a, w_b) y = Add (x, p) }"
    )
    assert [skip.code for skip in prunable_weights(weighted_model(text))[1]] == ["GP311", "GP311"]


def test_a_weight_that_a_caller_may_override_is_no_candidate() -> None:
    model = weighted_model(PRUNABLE["matmul"][0])
    model.graph.inputs.append(model.graph.initializers["w"])
    assert prunable_weights(model) == ([], [])


def test_packing_may_look_at_narrow_convolutions_too() -> None:
    model = weighted_model(REFUSED["GP303 few channels"][0])
    assert [weight.name for weight in linear_weights(model)[0]] == ["w"]


def test_no_tensor_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: ir.TensorProtocol) -> npt.NDArray[Any]:
        raise AssertionError

    model = weighted_model(PRUNABLE["convolution"][0])
    monkeypatch.setattr(ir.Tensor, "numpy", refuse)
    assert len(prunable_weights(model)[0]) == 1
