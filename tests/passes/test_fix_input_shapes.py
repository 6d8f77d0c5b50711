"""FixInputShapes: symbols, refusals, and what stays open."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import InputError
from graphprune.passes.base import run_pass
from graphprune.passes.fix_input_shapes import FixInputShapes, unresolved_dims
from graphprune.testing.check_pass import check_pass

HEADER = '<ir_version: 10, opset_import: ["" : 18]>'
TEXT = HEADER + "g (float[n,3,s] x, float[n,1,s] z) => (float[n,3,s] y) { y = Add (x, z) }"


def fixed(*shapes: tuple[str, tuple[int, ...]]) -> FixInputShapes:
    return FixInputShapes(shapes)


def shapes(model: ir.Model) -> list[str]:
    return [str(value.shape) for value in (*model.graph.inputs, *model.graph.outputs)]


def test_a_symbol_gets_its_extent_everywhere() -> None:
    result = check_pass(fixed(("x", (2, 3, 5))), TEXT)
    assert shapes(result.model) == ["[2,3,5]", "[2,1,5]", "[2,3,5]"]
    assert [rewrite.node for rewrite in result.rewrites] == ["x", "z"]
    assert unresolved_dims(result.model) == []


def test_shapes_between_follow() -> None:
    text = (
        HEADER
        + "g (float[n,4] x) => (float[a] y) { t = Transpose (x) s = Shape (t) c = Cast <to = 1> (s) y = Relu (c) }"
    )
    result = check_pass(fixed(("x", (7, 4))), text)
    assert str(result.model.graph[0].outputs[0].shape) == "[4,7]"
    assert shapes(result.model)[1] == "[2]"


def test_what_is_declared_of_an_opaque_operator_follows() -> None:
    text = (
        '<ir_version: 10, opset_import: ["" : 18, "com.example" : 1]>'
        """
    g (float[n,4] x) => (float[n,6] y) <float[n,4] a, float[n,6] b> {
        a = Relu (x)
        b = com.example.Gadget (a)
        y = Neg (b)
    }"""
    )
    result = run_pass(fixed(("x", (7, 4))), ir.from_onnx_text(text))
    assert [str(node.outputs[0].shape) for node in result.model.graph] == ["[7,4]", "[7,6]", "[7,6]"]


def test_an_input_of_unknown_rank_gets_a_shape() -> None:
    model = ir.from_onnx_text(TEXT)
    model.graph.inputs[1].shape = None
    assert unresolved_dims(model) == [("x", 0, "n"), ("x", 2, "s"), ("z", -1, "?")]
    result = run_pass(fixed(("x", (2, 3, 5)), ("z", (2, 1, 5))), model)
    assert unresolved_dims(result.model) == []


def test_open_dimensions_are_listed_with_their_symbols() -> None:
    model = ir.from_onnx_text(TEXT)
    model.graph.inputs[0].shape = ir.Shape([None, 3, "s"])
    assert unresolved_dims(model) == [("x", 0, "?"), ("x", 2, "s"), ("z", 0, "n"), ("z", 2, "s")]


def test_the_fixed_model_refuses_other_shapes() -> None:
    feed = {"x": np.zeros((2, 3, 5), np.float32), "z": np.zeros((2, 1, 5), np.float32)}
    assert check_pass(fixed(("x", (2, 3, 5))), TEXT, cases=[feed]).changed


def test_shapes_that_are_there_already_change_nothing() -> None:
    model = run_pass(fixed(("x", (2, 3, 5))), ir.from_onnx_text(TEXT)).model
    assert not check_pass(fixed(("x", (2, 3, 5))), model).changed


@pytest.mark.parametrize(
    ("pass_", "message"),
    [
        (fixed(("image", (1, 3, 5))), r"no input is named 'image', expected one of \['x', 'z'\] \[GP231\]"),
        (fixed(("x", (3, 5))), r"input 'x' is given shape \[3, 5\], expected rank 3 as in \[n,3,s\] \[GP232\]"),
        (fixed(("x", (1, 4, 5))), r"input 'x' is given shape \[1, 4, 5\], expected 3 at axis 1 \[GP233\]"),
        (
            fixed(("x", (1, 3, 5)), ("z", (2, 1, 5))),
            r"input 'z' is given shape \[2, 1, 5\], expected 1 at axis 0 \[GP233\]",
        ),
        (fixed(("x", (0, 3, 5))), r"input 'x' is given shape \[0, 3, 5\], expected positive extents \[GP234\]"),
        (fixed(("x", (1, 3, -1))), r"input 'x' is given shape \[1, 3, -1\], expected positive extents \[GP234\]"),
    ],
)
def test_what_does_not_fit_is_refused(pass_: FixInputShapes, message: str) -> None:
    with pytest.raises(InputError, match="fix-input-shapes: " + message):
        run_pass(pass_, ir.from_onnx_text(TEXT))


def test_the_last_of_two_shapes_for_one_input_must_agree() -> None:
    with pytest.raises(InputError, match="GP233"):
        run_pass(fixed(("x", (1, 3, 5)), ("x", (2, 3, 5))), ir.from_onnx_text(TEXT))


def test_shapes_that_the_graph_cannot_have_are_found() -> None:
    text = HEADER + "g (float[n,k] x, float[3,4] w) => (float[n,4] y) { y = MatMul (x, w) }"
    with pytest.raises(
        InputError, match=r"fix-input-shapes: the graph does not accept them: shapes do not fit: .*MatMul.*\[GP235\]"
    ):
        run_pass(fixed(("x", (2, 5))), ir.from_onnx_text(text))
