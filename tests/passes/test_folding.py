"""Folding single operands: what is constant, what is computed, and what is left in place."""

import onnx_ir as ir
import pytest

from graphprune.passes.folding import Folder
from graphprune.passes.shape_inference import infer_shapes

BRANCHES = """c = Constant <value = bool {1}> ()
    e = If (c) <then_branch = g1 () => (float[2] p) { p = Abs (a) },
        else_branch = g2 () => (float[2] q) { q = Neg (a) }>
    y = Mul (x, e)"""


def model_of(body: str, y: str = "float[2] y") -> ir.Model:
    model = ir.from_onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 20]> g (float[2] x, float[2] d) => ({y})
        <float[2] a = {{1, 2}}, float[2] b = {{3, 4}}, float[2] d = {{5, 6}}> {{ {body} }}"""
    )
    infer_shapes(model)
    return model


def made_by(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in model.graph if node.outputs[0].name == name)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_an_operand_and_all_before_it_become_an_initializer() -> None:
    model = model_of("e = Add (a, b) f = Neg (e) g = Abs (a) h = Mul (x, f) y = Mul (h, g)")
    tensor = Folder(model).fold(made_by(model, "h"), 1)
    assert tensor is not None
    assert tensor.numpy().tolist() == [-4, -6]
    assert operators(model) == ["Abs", "Mul", "Mul"]
    assert set(model.graph.initializers) == {"a", "d", "f"}


def test_an_initializer_is_returned_as_it_is() -> None:
    model = model_of("y = Mul (x, a)")
    tensor = Folder(model).fold(made_by(model, "y"), 1)
    assert tensor is model.graph.initializers["a"].const_value


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("e = Add (a, x) y = Mul (b, e)", "of an input"),
        ("e = Add (a, d) y = Mul (b, e)", "of an initializer that callers may override"),
        ("e = RandomUniformLike (a) y = Mul (b, e)", "random"),
        ("e = Add (a, b) y = Mul (x, e)", "an output of the graph"),
        (BRANCHES, "of a branch"),
    ],
)
def test_what_is_not_constant_stays(body: str, name: str) -> None:
    y = "float[2] y, float[2] e" if name == "an output of the graph" else "float[2] y"
    model = model_of(body, y)
    node, before = made_by(model, "y"), operators(model)
    folder = Folder(model)
    assert not folder.is_constant(node.inputs[1])
    assert folder.fold(node, 1) is None
    assert operators(model) == before


def test_an_operand_that_is_left_out_is_none() -> None:
    model = model_of("y = Clip (x)")
    assert Folder(model).fold(made_by(model, "y"), 2) is None


def test_what_cannot_be_evaluated_stays() -> None:
    model = model_of("e = LpNormalization (a) y = Mul (x, e)")
    assert Folder(model).fold(made_by(model, "y"), 1) is None
    assert operators(model) == ["LpNormalization", "Mul"]
