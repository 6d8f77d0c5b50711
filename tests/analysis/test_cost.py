"""Multiply-accumulates, parameters and bytes, against figures counted by hand."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.cost import ModelCost, NodeCost, model_cost
from graphprune.passes.shape_inference import infer_shapes
from tests.weighted import HEADER, weighted_model


def cost_of(text: str, dims: Mapping[str, int] | None = None) -> ModelCost:
    model = weighted_model(text)
    infer_shapes(model)
    return model_cost(model, dims)


def conv(x: str, w: str, y: str, attributes: str = "", operator: str = "Conv") -> str:
    return f"g (float{x} x, float{w} w) => (float{y} y) {{ y = {operator} <{attributes}> (x, w) }}".replace("<>", "")


def product(x: str, w: str, y: str, attributes: str = "", operator: str = "MatMul") -> str:
    return conv(x, w, y, attributes, operator)


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        # 8 outputs of 16 x 16, each 3 * 3 * 3
        (conv("[1,3,16,16]", "[8,3,3,3]", "[1,8,16,16]", "pads = [1,1,1,1]"), 55296),
        # depthwise: each output reads one channel
        (conv("[1,8,9,9]", "[8,1,3,3]", "[1,8,4,4]", "group = 8, strides = [2,2]"), 1152),
        # a batch of 2, two groups of 4 channels, one dimension
        (conv("[2,8,10]", "[6,4,3]", "[2,6,8]", "group = 2"), 1152),
        # every input point writes 4 channels of 2 x 2
        (conv("[1,3,5,5]", "[3,4,2,2]", "[1,4,6,6]", operator="ConvTranspose"), 1200),
        (product("[2,5]", "[5,7]", "[2,7]", operator="Gemm"), 70),
        (product("[5,2]", "[7,5]", "[2,7]", "transA = 1, transB = 1", operator="Gemm"), 70),
        (product("[3,2,5]", "[5,7]", "[3,2,7]"), 210),
        (product("[5]", "[5]", ""), 5),
        (product("[0,5]", "[5,7]", "[0,7]"), 0),
        ("g (int8[2,5] x, int8[5,7] w) => (int32[2,7] y) { y = MatMulInteger(x, w) }", 70),
        ("g (float[4,4] x) => (float[4,4] y) { y = Relu(x) }", 0),
    ],
)
def test_multiply_accumulates_are_counted(text: str, macs: int) -> None:
    cost = cost_of(text)
    assert cost.macs == macs
    assert cost.unknown == ()


EINSUM = 'g (float[2,3] x) => (float[2,2] y) { y = Einsum <equation = "ij,kj->ik"> (x, x) }'
BRANCHES = """g (bool c, float[2] x) => (float[2] y)
{ y = If(c) <then_branch = t () => (a) { a = Relu(x) }, else_branch = e () => (b) { b = Neg(x) }> }"""
CALL = """<ir_version: 10, opset_import: ["" : 18, "local" : 1]> g (float[2] x) => (float[2] y) { y = local.f(x) }
<domain: "local", opset_import: ["" : 18]> f (v) => (r) { r = Relu(v) }"""


@pytest.mark.parametrize("text", [EINSUM, BRANCHES, CALL])
def test_what_may_hide_products_is_unknown(text: str) -> None:
    cost = cost_of(text)
    assert cost.macs is None
    assert len(cost.unknown) == 1


def test_a_symbolic_dimension_is_unknown_until_it_is_given() -> None:
    text = "g (float[N,5] x, float[5,7] w) => (float[N,7] y) { p = MatMul(x, w) y = Relu(p) }"
    unbound = cost_of(text)
    assert (unbound.macs, unbound.activation_bytes) == (None, None)
    assert (unbound.nodes[1].macs, unbound.parameters) == (0, 35)
    assert cost_of(text, {"N": 4}).macs == 140


def test_parameters_and_bytes_of_each_node() -> None:
    model = weighted_model(
        "g (float[2,4] x, float[4,3] w, float[3] w_bias, int64[2] wshape) => (float[3,2] y) "
        "{ [product] a = MatMul(x, w) [shift] b = Add(a, w_bias) [shape] y = Reshape(b, wshape) }",
        {"wshape": np.array([3, 2])},
    )
    infer_shapes(model)
    cost = model_cost(model)
    assert cost.nodes == (
        NodeCost("product", "MatMul", macs=24, parameters=12, weight_bytes=48, activation_bytes=4 * (8 + 6)),
        NodeCost("shift", "Add", macs=0, parameters=3, weight_bytes=12, activation_bytes=4 * (6 + 6)),
        NodeCost("shape", "Reshape", macs=0, parameters=0, weight_bytes=16, activation_bytes=4 * (6 + 6)),
    )
    assert (cost.parameters, cost.weight_bytes, cost.activation_bytes) == (15, 76, 152)


def test_a_shared_weight_counts_once() -> None:
    text = "g (float[4,4] x, float[4,4] w) => (float[4,4] y) { a = MatMul(x, w) y = MatMul(a, w) }"
    assert [node.parameters for node in cost_of(text).nodes] == [16, 0]


def test_a_transposed_weight_belongs_to_the_product() -> None:
    text = "g (float[2,5] x, float[7,5] w) => (float[2,7] y) { t = Transpose(w) y = MatMul(x, t) }"
    assert [node.parameters for node in cost_of(text).nodes] == [0, 35]


def test_a_subgraph_belongs_to_the_node_that_has_it() -> None:
    text = """g (float[2,5] x, bool c, float[5,7] w, float[7,7] w_after) => (float[2,7] z) {
        y = If (c) <then_branch = yes () => (float[2,7] a) { t = MatMul (x, w) a = Relu (t) },
                    else_branch = no () => (float[2,7] b) <float[7] k = {1,2,3,4,5,6,7}> {
                        s = MatMul (x, w) b = Add (s, k) }>
        z = MatMul (y, w_after)
    }"""
    assert [node.parameters for node in cost_of(text).nodes] == [35 + 7, 49]


def test_half_precision_has_half_the_bytes() -> None:
    cost = cost_of("g (float16[2,5] x, float16[5,7] w) => (float16[2,7] y) { y = MatMul(x, w) }")
    assert (cost.weight_bytes, cost.activation_bytes) == (70, 2 * (10 + 14))


def test_packed_weights_count_what_is_stored() -> None:
    text = (
        HEADER.replace("18]", '18, "graphprune" : 1]')
        + """
    g (float[2,5] x, float[9] w_values, int32[9] w_columns, int32[8] w_offsets) => (float[2,7] y)
    { [fc] y = graphprune.PackedMatMul <weight_shape = [7,5]> (x, w_values, w_columns, w_offsets) }"""
    )
    node = model_cost(weighted_model(text)).nodes[0]
    assert (node.op_type, node.macs, node.parameters, node.weight_bytes) == ("graphprune.PackedMatMul", 18, 9, 104)


@pytest.mark.parametrize(("kind", "nbytes"), [("float", 4), ("uint8", 1)])
def test_decoding_takes_no_products(kind: str, nbytes: int) -> None:
    text = f"""<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
    g () => ({kind}[1,5,4] d) <{kind}[2] w_values = {{1, 2}}, uint8[5,1] w_bits = {{1, 2, 0, 0, 0}}> {{
    d = graphprune.PackedMaskWeight <weight_shape = [5,4], stored_shape = [1,5,4], perm = [0,1,2]> (w_values, w_bits)
    }}"""
    (node,) = model_cost(ir.from_onnx_text(text)).nodes
    assert (node.macs, node.parameters, node.weight_bytes) == (0, 2, 2 * nbytes + 5)


def test_packed_groups_count_their_slots_and_no_indices() -> None:
    text = (
        HEADER.replace("18]", '18, "graphprune" : 1]')
        + """
    g (float[2,8] x, float[7,4] w_values, uint8[7] w_indices) => (float[2,7] y)
    { [fc] y = graphprune.PackedNmMatMul <weight_shape = [7,8], keep = 2, of = 4> (x, w_values, w_indices) }"""
    )
    node = model_cost(weighted_model(text)).nodes[0]
    assert (node.macs, node.parameters, node.weight_bytes) == (2 * 28, 28, 4 * 28 + 7)


def test_resnet_18_costs_what_is_published(tiny_models: Callable[[str], ir.Model]) -> None:
    """1.81 G multiply-accumulates and 11,689,512 parameters, beside which the file holds 9,600 running statistics."""
    cost = model_cost(tiny_models("demo"))
    assert (cost.macs, cost.parameters, cost.unknown) == (1_814_073_344, 11_689_512 + 9_600, ())
