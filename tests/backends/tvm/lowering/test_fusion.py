from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.lowering.fusion import Group, fuse
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import Initializer, parse

ELEMENTWISE = ("Relu", "Add", "Mul", "Erf", "Sub")
ANCHORS = ("Conv", "MatMul")


def fused(text: str, initializers: dict[str, Initializer] | None = None) -> tuple[ir.Graph, list[Group]]:
    model = parse(text, initializers)
    infer_shapes(model)
    return model.graph, fuse(model.graph, ELEMENTWISE, ANCHORS)


def groups_of(text: str, initializers: dict[str, Initializer] | None = None) -> list[list[str]]:
    return [[node.op_type for node in group.nodes] for group in fused(text, initializers)[1]]


def test_chain_joins_its_anchor() -> None:
    text = """g (float[1,8,4,4] x) => (float[1,8,4,4] y) {
        c = Conv(x,w)
        a = Add(c,x)
        y = Relu(a) }"""
    assert groups_of(text, {"w": (8, 8, 1, 1)}) == [["Conv", "Add", "Relu"]]


def test_branches_that_meet_again_join() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        m = MatMul(x,w)
        e = Erf(m)
        s = Mul(m,e)
        y = Add(s,m) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["MatMul", "Erf", "Mul", "Add"]]


def test_a_value_read_outside_ends_the_region() -> None:
    text = """g (float[4,8] x) => (float[4,8] y, float[4,8] z) {
        m = MatMul(x,w)
        r = Relu(m)
        y = Erf(r)
        z = MatMul(r,w) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["MatMul", "Relu"], ["Erf"], ["MatMul"]]


def test_a_graph_output_ends_the_region() -> None:
    text = """g (float[4,8] x) => (float[4,8] m, float[4,8] y) {
        m = MatMul(x,w)
        y = Relu(m) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["MatMul"], ["Relu"]]


def test_another_shape_ends_the_region() -> None:
    text = """g (float[4,8] x, float[3,4,8] z) => (float[3,4,8] y) {
        m = MatMul(x,w)
        r = Relu(m)
        y = Add(r,z) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["MatMul", "Relu"], ["Add"]]


def test_a_branch_through_another_operator_is_not_fused() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        m = MatMul(x,w)
        n = MatMul(m,w)
        y = Add(m,n) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["MatMul"], ["MatMul", "Add"]]


def test_the_residual_joins_the_later_operand() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        a = MatMul(x,w)
        b = MatMul(x,w)
        s = Add(a,b)
        y = Relu(s) }"""
    graph, groups = fused(text, {"w": (8, 8)})
    computed = {*graph.inputs, *graph.initializers.values()}
    for group in groups:
        assert computed.issuperset(group.external_inputs())
        computed.add(group.output)
    assert [len(group.nodes) for group in groups] == [1, 3]


def test_an_operator_without_epilogue_keeps_no_region() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        m = Softmax(x)
        y = Relu(m) }"""
    assert groups_of(text) == [["Softmax"], ["Relu"]]


def test_a_node_whose_output_nobody_reads_stands_alone() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        unused = Erf(x)
        y = Relu(x) }"""
    assert sorted(groups_of(text)) == [["Erf"], ["Relu"]]


def test_the_other_half_of_a_gate_joins() -> None:
    text = """g (float[4,8] x, float[4,8] z) => (float[4,8] y) {
        e = Erf(x)
        r = Relu(z)
        s = Add(r,x)
        y = Mul(e,s) }"""
    assert groups_of(text) == [["Erf", "Relu", "Add", "Mul"]]


def test_an_operand_that_others_read_stays_outside() -> None:
    text = """g (float[4,8] x, float[4,8] z) => (float[4,8] y, float[4,8] %s) {
        e = Erf(x)
        r = Relu(z)
        y = Mul(e,r)
        %s }"""
    assert groups_of(text % ("r", "")) == [["Relu"], ["Erf", "Mul"]]
    assert groups_of(text % ("u", "u = Sub(r,x)")) == [["Relu"], ["Erf", "Mul"], ["Sub"]]


@pytest.mark.parametrize(
    ("shape", "operator"),
    [("[1,8]", "Relu"), ("[4,8]", "Softmax")],
    ids=["of another shape", "of another operator"],
)
def test_an_operand_stays_outside(shape: str, operator: str) -> None:
    text = f"""g (float[4,8] x, float{shape} z) => (float[4,8] y) {{
        e = Erf(x)
        r = {operator}(z)
        y = Mul(e,r) }}"""
    assert groups_of(text) == [[operator], ["Erf", "Mul"]]


def test_an_operand_follows_its_own_anchor() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        e = Erf(x)
        m = MatMul(x,w)
        r = Relu(m)
        y = Mul(e,r) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["Erf"], ["MatMul", "Relu", "Mul"]]


def test_behind_an_anchor_operands_stay_outside() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        m = MatMul(x,w)
        r = Relu(x)
        y = Mul(m,r) }"""
    assert groups_of(text, {"w": (8, 8)}) == [["Relu"], ["MatMul", "Mul"]]


def test_bytes_that_become_floats_join_the_kernel_that_reads_them() -> None:
    text = """g (float[4,8] x, uint8[4,8] q) => (float[4,8] y) {
        m = MatMul(x,w)
        d = DequantizeLinear(q,s)
        y = Add(m,d) }"""
    assert groups_of(text, {"w": (8, 8), "s": (1,)}) == [["MatMul", "DequantizeLinear", "Add"]]


def test_floats_that_a_product_reads_itself_stay_outside() -> None:
    text = """g (uint8[4,8] q) => (float[4,8] y) {
        d = DequantizeLinear(q,s)
        m = MatMul(d,w)
        y = Add(m,d) }"""
    assert groups_of(text, {"w": (8, 8), "s": (1,)}) == [["DequantizeLinear"], ["MatMul", "Add"]]


def test_no_node_is_in_two_kernels() -> None:
    text = """g (float[4,8] x) => (float[4,8] y) {
        m = MatMul(x,w)
        d = DequantizeLinear(c,s)
        r = Mul(m,d)
        e = Erf(x)
        y = Mul(e,r) }"""
    groups = fused(text, {"w": (8, 8), "s": (1,), "c": np.zeros((4, 8), np.uint8)})[1]
    nodes = [node for group in groups for node in group.nodes]
    assert len(nodes) == len(set(nodes)) == 5
