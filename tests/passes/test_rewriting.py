"""The moves that rewritings are made of."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.passes.rewriting import bypass, constant_of, drop_unused, new_initializer, why_not_bypass
from graphprune.passes.structure import verify_structure

TEXT = """<ir_version: 10, opset_import: ["" : 18]>
g (float[2] x, float[2] given) => (float[2] y, float[2] z) <float[2] w = {1, 2}, float[2] given = {3, 4}> {
    a = Mul (x, w)
    b = Neg (a)
    y = Relu (b)
    z = Abs (x)
}"""


@pytest.fixture
def model() -> ir.Model:
    return ir.from_onnx_text(TEXT)


def named(model: ir.Model, name: str) -> ir.Value:
    return ir.convenience.create_value_mapping(model.graph)[name]


def test_a_constant_is_an_initializer_that_no_caller_overrides(model: ir.Model) -> None:
    assert constant_of(named(model, "w")) is not None
    assert constant_of(named(model, "given")) is None
    assert constant_of(named(model, "x")) is None
    assert constant_of(named(model, "a")) is None
    assert constant_of(None) is None


def test_bypassing_an_inner_node_joins_its_reader_to_its_input(model: ir.Model) -> None:
    node = model.graph[1]
    assert why_not_bypass(node, named(model, "a")) is None
    bypass(node, named(model, "a"))
    assert [str(value.name) for value in model.graph[1].inputs if value] == ["a"]
    verify_structure(model)


def test_bypassing_the_last_node_gives_the_output_its_name(model: ir.Model) -> None:
    bypass(model.graph[2], named(model, "b"))
    assert [value.name for value in model.graph.outputs] == ["y", "z"]
    assert model.graph[1].outputs[0].name == "y"
    verify_structure(model)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x", "it joins input 'x' of the graph to output 'y'"),
        ("w", "it joins initializer 'w' to output 'y' of the graph"),
        ("z", "'z' and 'y' are both outputs of the graph"),
    ],
)
def test_what_has_a_name_of_its_own_cannot_take_the_name_of_an_output(model: ir.Model, value: str, reason: str) -> None:
    assert why_not_bypass(model.graph[2], named(model, value)) == reason


def test_what_nothing_reads_goes_with_everything_before_it(model: ir.Model) -> None:
    model.graph[2].replace_input_with(0, named(model, "x"))
    drop_unused([named(model, "b")])
    assert [node.op_type for node in model.graph] == ["Relu", "Abs"]
    assert list(model.graph.initializers) == ["given"]
    verify_structure(model)


def test_what_is_read_or_belongs_to_the_interface_stays(model: ir.Model) -> None:
    drop_unused([named(model, name) for name in ("a", "w", "x", "y", "given")])
    assert len(model.graph) == 4
    assert sorted(model.graph.initializers) == ["given", "w"]


def test_an_initializer_is_registered_with_its_type_and_shape(model: ir.Model) -> None:
    value = new_initializer(model.graph, "n", ir.tensor(np.zeros((2, 3), np.float16)))
    assert model.graph.initializers["n"] is value
    assert (value.dtype, str(value.shape)) == (ir.DataType.FLOAT16, "[2,3]")
    assert ir.from_proto(ir.to_proto(model)).graph.initializers["n"].dtype == ir.DataType.FLOAT16
