"""A model in the form that DeepSparse 1.8 runs best.

It reads no file above opset 17 and IR version 8, and what its engine does not take goes to the ONNX Runtime inside it,
which cuts the graph into parts. So normalisations of batches are folded, `LayerNormalization` and `Gelu` are spelled as
torch did when DeepSparse was written, averages over an image name the axes 2 and 3, and the guard against NaN that
torch puts behind a softmax goes. `NM_LOGGING_LEVEL=diagnose` prints what the engine takes, and why not the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.tape import Tape

from graphprune.passes.normalize import normalize
from graphprune.passes.rewriting import bypass, constant_of

OPSET = 17
IR_VERSION = 8

Spelling = Callable[[Tape, ir.Node], ir.Value | None]
"""Records nodes that compute the output of a node; None leaves the node as it is."""


def deepsparse_form(model: ir.Model) -> ir.Model:
    """The same function in DeepSparse's terms, as long as no softmax gets NaN; `model` stays untouched."""
    model = normalize(model).model
    for node in list(model.graph):
        tape = Tape()
        value = _SPELLINGS[node.op_type](tape, node) if node.op_type in _SPELLINGS else None
        if value is not None:
            model.graph.insert_before(node, tape.nodes)
            bypass(node, value)
    model.opset_imports[""] = OPSET
    model.ir_version = IR_VERSION
    return model


def _layer_normalization(tape: Tape, node: ir.Node) -> ir.Value | None:
    if node.attributes.get_int("axis", -1) != -1 or len(node.inputs) != 3:  # noqa: PLR2004 - x, scale, bias
        return None
    x, scale, bias = node.inputs
    centred = tape.op("Sub", [x, _mean(tape, x, [-1])])
    variance = _mean(tape, tape.op("Pow", [centred, _number(tape, 2)]), [-1])
    epsilon = _number(tape, node.attributes.get_float("epsilon", 1e-5))
    deviation = tape.op("Sqrt", [tape.op("Add", [variance, epsilon])])
    return tape.op("Add", [tape.op("Mul", [tape.op("Div", [centred, deviation]), scale]), bias])


def _gelu(tape: Tape, node: ir.Node) -> ir.Value | None:
    if node.attributes.get_string("approximate", "none") != "none":
        return None
    x = node.inputs[0]
    error = tape.op("Erf", [tape.op("Div", [x, _number(tape, math.sqrt(2))])])
    return tape.op("Mul", [tape.op("Mul", [x, tape.op("Add", [error, _number(tape, 1)])]), _number(tape, 0.5)])


def _reduce_mean(tape: Tape, node: ir.Node) -> ir.Value | None:
    """Until opset 18 the axes are an attribute."""
    x, axes = node.inputs[0], constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or x is None or x.shape is None:
        return None
    rank = x.shape.rank()
    return _mean(tape, x, sorted(int(axis) % rank for axis in axes.numpy()), node.attributes.get_int("keepdims", 1))


def _where(_tape: Tape, node: ir.Node) -> ir.Value | None:
    """`Where(IsNaN(p), 0, p)` is `p` behind a softmax."""
    test, softmax = (value.producer() if value is not None else None for value in (node.inputs[0], node.inputs[2]))
    if test is None or test.op_type != "IsNaN" or softmax is None or softmax.op_type != "Softmax":
        return None
    return node.inputs[2] if test.inputs[0] is node.inputs[2] else None


def _mean(tape: Tape, x: ir.Value | None, axes: list[int], keepdims: int = 1) -> ir.Value:
    return tape.op("ReduceMean", [x], {"axes": axes, "keepdims": keepdims})


def _number(tape: Tape, value: float) -> ir.Value:
    return tape.op("Constant", [], {"value": ir.tensor(value, ir.DataType.FLOAT)})


_SPELLINGS: dict[str, Spelling] = {
    "Gelu": _gelu,
    "LayerNormalization": _layer_normalization,
    "ReduceMean": _reduce_mean,
    "Where": _where,
}
