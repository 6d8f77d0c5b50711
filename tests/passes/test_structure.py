"""Ill-formed graphs are refused with the culprit's name."""

import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.passes.structure import verify_structure

HEADER = '<ir_version: 10, opset_import: ["" : 18]>'


def body(text: str) -> ir.Model:
    return ir.from_onnx_text(HEADER + "main (float[2] x) => (float[2] y) { " + text + " }")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("y = Relu (nowhere)", "input 'nowhere' is not defined before it is read"),
        ("y = Relu (later) later = Neg (x)", "input 'later' is not defined before it is read"),
        ("a = Add (b, x) b = Neg (a) y = Relu (b)", "input 'b' is not defined before it is read"),
        ("z = Relu (x)", "output 'y' is not defined"),
        ("y = Relu <alpha = 1.0> (x)", "alpha"),
        ("y = Relu (x, x)", "Relu"),
        ("y = Gelu (x)", "Gelu"),
        ("y = missing.Thing (x)", "missing"),
    ],
)
def test_an_ill_formed_graph_is_named(text: str, named: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"^graph is ill-formed: .*{named}.* \[GP261\]$"):
        verify_structure(body(text))


def test_a_branch_sees_only_what_is_defined_before_it() -> None:
    branch = "then_branch = t () => (float[2] p) { p = Neg (late) }, else_branch = e () => (float[2] q) { q = Neg (x) }"
    text = "main (float[2] x, bool c) => (float[2] y) { y = If (c) <" + branch + "> late = Abs (x) }"
    with pytest.raises(UnsupportedModelError, match=r"node 'p' \(Neg\): input 'late' is not defined"):
        verify_structure(ir.from_onnx_text(HEADER + text))


def test_an_output_of_unknown_rank_is_well_formed() -> None:
    model = body("y = Relu (x)")
    model.graph.outputs[0].shape = None
    verify_structure(model)
    assert model.graph.outputs[0].shape is None


def test_two_values_of_one_name_are_refused() -> None:
    model = body("a = Relu (x) y = Neg (a)")
    model.graph[0].outputs[0].name = "y"
    with pytest.raises(UnsupportedModelError, match=r"graph is ill-formed: .*y.* \[GP261\]"):
        verify_structure(model)
