"""Constants and their readers."""

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import (
    constant_tensor,
    constants,
    is_constant,
    named_constants,
    readers,
    replace_constant,
)
from tests.weighted import weight_of, weighted_model

VIEWS = """
main (float[2,3] x, float[4,3] w) => (float[2,4] y, float[4,3] z) {
  t = Transpose (w)
  i = Identity (t)
  y = MatMul (x, i)
  z = Identity (w)
}
"""
PERMUTED = """
main (float[1,8,5,5] x, float[3,3,8,6] w) => (float[1,6,3,3] y) {
  o = Transpose <perm = [3, 2, 0, 1]> (w)
  y = Conv (x, o)
}
"""
CONSTANT_NODE = """
main (float[2,2] x) => (float[2,2] y) {
  c = Constant <value = float[2,2] {1, 2, 3, 4}> ()
  s = Constant <value_float = 2.0> ()
  m = MatMul (x, c)
  y = Mul (m, s)
}
"""


def value_of(model: ir.Model, name: str) -> ir.Value:
    return next(value for node in model.graph for value in node.outputs if value.name == name)


def test_readers_are_found_through_views_and_at_the_output() -> None:
    model = weighted_model(VIEWS)
    found = list(readers(model.graph.initializers["w"], (0, 1)))
    assert [(use.node.op_type, use.index, use.perm) if use else None for use in found] == [("MatMul", 1, (1, 0)), None]


def test_permutations_are_composed() -> None:
    model = weighted_model(PERMUTED)
    (use,) = readers(model.graph.initializers["w"], (0, 1, 2, 3))
    assert use is not None
    assert use.perm == (3, 2, 0, 1)


def test_constant_nodes_hold_tensors_and_scalars_are_left_out() -> None:
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 18]>' + CONSTANT_NODE)
    assert [value.name for value, _ in constants(model.graph)] == ["c"]


def test_an_initializer_that_a_caller_may_override_is_no_constant() -> None:
    model = weighted_model(VIEWS)
    value = model.graph.initializers["w"]
    model.graph.inputs.append(value)
    assert constant_tensor(value) is None
    assert list(constants(model.graph)) == []


def test_is_constant_looks_through_views() -> None:
    model = weighted_model(VIEWS)
    assert is_constant(value_of(model, "i"))
    assert not is_constant(value_of(model, "y"))
    assert not is_constant(None)


def test_replacing_leaves_the_old_tensor_and_its_clones_alone() -> None:
    model = weighted_model(VIEWS)
    before = weight_of(model, "w").copy()
    clone = model.clone()
    replace_constant(clone.graph.initializers["w"], np.zeros((4, 3), np.float32))
    np.testing.assert_array_equal(weight_of(model, "w"), before)
    np.testing.assert_array_equal(weight_of(clone, "w"), 0)


def test_replacing_the_tensor_of_a_constant_node() -> None:
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 18]>' + CONSTANT_NODE)
    replace_constant(value_of(model, "c"), np.full((2, 2), 7, np.float32))
    ((_, tensor),) = constants(ir.from_proto(ir.to_proto(model)).graph)
    np.testing.assert_array_equal(tensor.numpy(), 7)


def test_names_are_unique_also_where_graphs_inside_use_one_twice() -> None:
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["" : 18]>
        g (float[2] x, bool c) => (float[2] y) <float[2] k = {1, 2}> {
            y = If (c) <
                then_branch = yes () => (float[2] a) <float[2] w = {3, 4}, float[2] k = {5, 6}> {
                    b = Add (w, k)
                    a = If (c) <
                        then_branch = t () => (float[2] d) <float[2] only = {7, 8}> { d = Mul (only, b) },
                        else_branch = e () => (float[2] f) { w = Constant <value = float[2] {9, 9}> () f = Neg (w) }
                    >
                },
                else_branch = no () => (float[2] h) { h = Add (x, k) }
            >
        }""")
    firsts = {name: float(tensor.numpy()[0]) for name, (_, tensor) in named_constants(model).items()}
    assert firsts == {
        "k": 1, "y.then_branch.w": 3, "y.then_branch.k": 5, "only": 7, "y.then_branch.a.else_branch.w": 9
    }  # fmt: skip
