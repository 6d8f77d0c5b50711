"""Changes of a graph's interface are found and named."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphprune.errors import PostconditionError
from graphprune.passes.interface import verify_interface

TEXT = """
<ir_version: 10, opset_import: ["" : 18]>
main (float[n,2] x, float z) => (float[n,2] y) { y = Add (x, z) }
"""


def fresh() -> ir.Model:
    return ir.from_onnx_text(TEXT)


def drop_input(model: ir.Model) -> None:
    model.graph[0].replace_input_with(1, model.graph.inputs[0])
    model.graph.inputs.pop()


def retype(model: ir.Model) -> None:
    model.graph.inputs[0].type = ir.TensorType(ir.DataType.DOUBLE)


def reshape(model: ir.Model) -> None:
    model.graph.outputs[0].shape = ir.Shape([2])


def forget(model: ir.Model) -> None:
    model.graph.outputs[0].shape = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_input, r"graph has 1 inputs, expected 2 \[GP272\]"),
        (retype, r"input 'x' has type DOUBLE, expected FLOAT \[GP272\]"),
        (reshape, r"output 'y' has shape \[2\], expected rank 2 \[GP272\]"),
        (forget, r"output 'y' has shape None, expected rank 2 \[GP272\]"),
    ],
)
def test_a_change_is_named(change: Callable[[ir.Model], None], message: str) -> None:
    after = fresh()
    change(after)
    with pytest.raises(PostconditionError, match=message):
        verify_interface("p", fresh(), after)


def test_what_was_unknown_may_become_known() -> None:
    before = fresh()
    forget(before)
    verify_interface("p", before, fresh())


def test_a_dimension_may_become_concrete() -> None:
    after = fresh()
    after.graph.inputs[0].shape = ir.Shape([4, 2])
    verify_interface("p", fresh(), after)
