"""Edits of the operands of one node."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.operands.cut_node import CutNode
from tests.analysis.channels.test_groups import model_of

TEXT = """main (float[2,8] x, float[8,3] w) => (float[2,3] y, int64[2] n) {
    i = Constant <value = int32[1] {0}> () j = Constant <value = int32[1] {6}> () k = Constant <value = int32[1] {1}> ()
    s = Softmax <axis = -1> (x) t = Slice (s, i, j, k) p = Slice (s, i, j) q = Concat <axis = -1> (t, p)
    u = Slice (q, i, j, k) f = Flatten (u) n = Shape (x) o = Slice (x, i, j, k) r = Relu (o) y = MatMul (x, w) }"""


def cut(op_type: str, **kept: tuple[int, list[int]]) -> CutNode:
    """The first node of an operator, some of whose values keep some indices of an axis."""
    model = model_of(TEXT)
    node = next(each for each in model.graph if each.op_type == op_type)
    values = {str(value.name): value for value in (*node.inputs, *node.outputs) if value is not None}
    cuts = {values[name]: {axis: np.array(indices)} for name, (axis, indices) in kept.items()}
    return CutNode(node, dict(cuts), FreshNames(model))


def test_extents_are_the_old_ones_where_nothing_is_lost() -> None:
    node = cut("Softmax", x=(1, [0, 2, 5]))
    x = node.input(0)
    assert (node.extent(x, 0), node.extent(x, 1)) == (2, 3)
    assert node.extent(node.node.outputs[0], 1) == 8


@pytest.mark.parametrize(
    ("kept", "axis"), [({"x": (1, [0])}, 1), ({"x": (0, [0])}, None), ({}, None), ({"s": (1, [0])}, None)]
)
def test_an_axis_is_one_that_the_first_input_loses(kept: dict[str, tuple[int, list[int]]], axis: int | None) -> None:
    assert cut("Softmax", **kept).axis(0) == axis


def test_an_axis_that_is_not_given_is_the_default() -> None:
    for op_type, kept, default in (("Relu", {"o": (1, [0])}, 1), ("Relu", {"o": (0, [0])}, -2)):
        assert cut(op_type, **kept).axis(default) == default % 2


def test_integers_are_an_attribute_or_a_constant_operand() -> None:
    node = cut("Slice")
    found = node.integers("starts", 1)
    assert found is not None
    assert (found.tolist(), str(found.dtype)) == ([0], "int64")
    assert node.integers("steps", 4) is None
    assert node.integers("data", 0) is None
    node.node.attributes["starts"] = ir.AttrInt64s("starts", [3, 4])
    found = node.integers("starts", 1)
    assert found is not None
    assert (found.tolist(), str(found.dtype)) == ([3, 4], "int64")


def test_integers_are_set_where_they_were() -> None:
    node = cut("Slice")
    node.set_integers("starts", 1, [5])
    starts = node.node.inputs[1]
    assert starts is not None
    assert starts.const_value is not None
    assert (starts.name, starts.const_value.numpy().tolist(), starts.dtype) == ("t_starts", [5], ir.DataType.INT32)
    node.node.attributes["axes"] = ir.AttrInt64s("axes", [0])
    node.set_integers("axes", 3, [1])
    assert list(node.node.attributes["axes"].as_ints()) == [1]
    axes = node.node.inputs[3]
    assert axes is not None
    assert axes.name == "k"


def test_integers_that_were_absent_are_int64() -> None:
    node = cut("Slice")
    node.set_integers("steps", 4, [2])
    assert len(node.node.inputs) == 5
    steps = node.node.inputs[4]
    assert steps is not None
    assert steps.dtype is ir.DataType.INT64
    again = cut("Flatten")
    again.set_operand(2, again.constant("name", np.zeros(1)))
    assert [value is None for value in again.node.inputs] == [False, True, False]


def test_an_operand_goes_with_its_last_reader() -> None:
    node = cut("MatMul")
    graph = node.node.graph
    assert isinstance(graph, ir.Graph)
    node.set_operand(1, node.constant("other", np.zeros((8, 3), np.float32)))
    assert set(graph.initializers) == {"y_other"}


def test_a_node_that_is_put_between_reads_what_it_is_given() -> None:
    node = cut("Relu")
    x = node.input(0)
    made = node.insert("Softmax", [x], "sum", axis=1)
    first = made.producer()
    assert first is not None
    assert (made.name, first.name, first.attributes["axis"].as_int()) == ("r_sum", "r_sum", 1)
    assert [value.name for value in first.inputs if value is not None] == ["o"]
    assert next(reader for reader in node.node.graph or () if reader.name == first.name or reader is node.node) is first


def test_what_is_put_behind_takes_readers_and_cuts_over() -> None:
    node = cut("Softmax", s=(1, [0, 3]))
    output = node.node.outputs[0]
    made = node.put_behind("Mul", [node.constant("two", np.array(2, np.float32))], "twice")
    assert (output.name, made.name) == ("s", "s_twice")
    assert [reader.op_type for reader, _ in output.uses()] == ["Mul"]
    assert {reader.op_type for reader, _ in made.uses()} == {"Slice"}
    assert node.kept[made] is node.kept[output]
    assert (made.shape, made.dtype) == (output.shape, output.dtype)


def test_what_is_put_behind_an_output_of_the_graph_takes_its_name() -> None:
    node = cut("MatMul")
    made = node.put_behind("Neg", [], "minus")
    assert (made.name, node.node.outputs[0].name) == ("y", "y_minus")
    assert made.is_graph_output()
    assert made not in node.kept
