"""The fingerprint sees every difference that matters and no other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.passes.fingerprint import digest, fingerprint, same_tensor
from graphprune.stages.stage import Stage, set_stage

TEXT = """
<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
main (float[1,2] x, bool c) => (float[1,2] y) <float[2] w = {1.0, 2.0}> {
    h = Mul (x, w)
    k = Constant <value = float[2] {3.0, 4.0}> ()
    b = If (c) <
        then_branch = yes () => (float[1,2] p) { p = Identity (h) },
        else_branch = no () => (float[1,2] q) { q = Add (h, k) }
    >
    y = graphprune.Twice <n = 2> (b)
}
<domain: "graphprune", opset_import: ["" : 18]>
Twice <n> (a) => (r) { e = Constant <value_int: int = @n> () d = CastLike (e, a) r = Mul (a, d) }
"""


def fresh() -> ir.Model:
    return ir.from_onnx_text(TEXT)


def replace_weight(model: ir.Model) -> None:
    model.graph.initializers["w"].const_value = ir.tensor(np.array([1, 3], np.float32), name="w")


def rename_node(model: ir.Model) -> None:
    model.graph[0].name = "other"


def change_operator(model: ir.Model) -> None:
    model.graph[0].op_type = "Add"


def change_attribute(model: ir.Model) -> None:
    model.graph[3].attributes["n"] = ir.AttrInt64("n", 3)


def change_constant(model: ir.Model) -> None:
    model.graph[1].attributes["value"] = ir.AttrTensor("value", ir.tensor(np.array([3, 5], np.float32)))


def change_subgraph(model: ir.Model) -> None:
    model.graph[2].attributes["else_branch"].as_graph()[0].op_type = "Sub"


def change_function(model: ir.Model) -> None:
    next(iter(model.functions.values()))[2].op_type = "Div"


def change_reference(model: ir.Model) -> None:
    attributes = next(iter(model.functions.values()))[0].attributes
    attributes["value_int"] = ir.RefAttr("value_int", "m", ir.AttributeType.INT)


def swap_inputs(model: ir.Model) -> None:
    node = model.graph[0]
    x, w = node.inputs
    node.replace_input_with(0, w)
    node.replace_input_with(1, x)


def change_input_shape(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape(["n", 2])


def change_stage(model: ir.Model) -> None:
    set_stage(model, Stage.SPARSE)


def change_opset(model: ir.Model) -> None:
    model.graph.opset_imports[""] = 19


def test_a_clone_and_a_reparsed_model_are_the_same() -> None:
    model = fresh()
    assert fingerprint(model) == fingerprint(model.clone())
    assert fingerprint(model) == fingerprint(fresh())
    assert digest(model) == digest(model.clone()) == digest(fresh())


@pytest.mark.parametrize(
    "change",
    [
        replace_weight,
        rename_node,
        change_operator,
        change_attribute,
        change_constant,
        change_subgraph,
        change_function,
        change_reference,
        swap_inputs,
        change_input_shape,
        change_stage,
        change_opset,
    ],
)
def test_every_change_is_seen(change: Callable[[ir.Model], None]) -> None:
    model = fresh()
    change(model)
    assert fingerprint(model) != fingerprint(fresh())
    assert digest(model) != digest(fresh())


def test_derived_shapes_and_descriptions_do_not_count() -> None:
    model = fresh()
    model.graph[0].outputs[0].shape = ir.Shape([1, 2])
    model.graph[0].metadata_props["graphprune.pass"] = "p"
    model.graph.doc_string = "text"
    assert fingerprint(model) == fingerprint(fresh())


@pytest.mark.parametrize(
    "other",
    [np.zeros(3, np.float32), np.zeros((1, 2), np.float32), np.zeros(2, np.int32), np.array([0.0, -0.0], np.float32)],
)
def test_tensors_differ_by_shape_type_and_bits(other: np.ndarray) -> None:
    assert not same_tensor(ir.tensor(np.zeros(2, np.float32)), ir.tensor(other))


def test_equal_nans_are_the_same_bits() -> None:
    values = np.array([np.nan, 1], np.float32)
    assert same_tensor(ir.tensor(values), ir.tensor(values.copy()))


def test_string_and_scalar_tensors_are_compared() -> None:
    assert same_tensor(ir.tensor(["a", "b"]), ir.tensor(["a", "b"]))
    assert not same_tensor(ir.tensor(["a", "b"]), ir.tensor(["a", "c"]))
    assert same_tensor(ir.tensor(1.5), ir.tensor(1.5))


def test_external_tensors_are_compared_by_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.arange(6, dtype=np.float32).tofile(tmp_path / name)
    left, right = (
        ir.ExternalTensor(n, 0, 24, ir.DataType.FLOAT, shape=ir.Shape([6]), name="w", base_dir=tmp_path) for n in "ab"
    )
    assert same_tensor(left, right)
