"""Corrections of nodes that onnx's converter (seen on 1.23) takes over although they meant something else.

What an old form meant is what ONNX Runtime computes for it, where the standard of that time does not say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphprune.errors import UnsupportedModelError
from graphprune.passes.rewriting import graph_of

_OLD_DEFAULTS = {
    "Resize": (11, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    "RoiAlign": (16, {"coordinate_transformation_mode": "output_half_pixel"}),
}
_MASK_IS_BOOL, _MASK_IS_ONES = 10, 12
_HARDMAX_HAS_AN_AXIS = 13
_ONLY_RESIZE_10 = 10
# floor(v) = floor((v - 1/2) + 1/2), ceil(v - 1/2): the coordinate v of tf_half_pixel_for_nn is half_pixel's plus 1/2.
_HALF_PIXEL_FORMS = {"floor": "round_prefer_ceil", "round_prefer_floor": "ceil"}


def correct_old_forms(model: ir.Model, version: int, subject: str) -> None:
    """Give the nodes of a model that was converted from `version` the meaning that they had there.

    Raises:
        UnsupportedModelError: A Resize has coordinates of an old opset that newer ones cannot say. [GP113]
    """
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.domain == "":
            _pin_defaults(node, version)
            _CORRECTIONS.get(node.op_type, _leave)(node, version, subject)


def _pin_defaults(node: ir.Node, version: int) -> None:
    below, attributes = _OLD_DEFAULTS.get(node.op_type, (0, {}))
    if version < below:
        for name, setting in attributes.items():
            node.attributes[name] = ir.AttrString(name, setting)


def _leave(_node: ir.Node, _version: int, _subject: str) -> None:
    """Nothing is to be corrected."""


def _resize(node: ir.Node, version: int, subject: str) -> None:
    is_nearest = node.attributes.get_string("mode", "nearest") == "nearest"
    if version == _ONLY_RESIZE_10 and is_nearest:
        _ceil_where_smaller(node)
    elif node.attributes.get_string("coordinate_transformation_mode", "") == "tf_half_pixel_for_nn":
        nearest = node.attributes.get_string("nearest_mode", "round_prefer_floor") if is_nearest else None
        if nearest not in _HALF_PIXEL_FORMS:
            what = f"node '{node.name}' (Resize): tf_half_pixel_for_nn is gone from opset 13 on"
            raise UnsupportedModelError(f"{subject}: {what}", code="GP113")
        node.attributes["coordinate_transformation_mode"] = ir.AttrString(
            "coordinate_transformation_mode", "half_pixel"
        )
        node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", _HALF_PIXEL_FORMS[nearest])


def _ceil_where_smaller(node: ir.Node) -> None:
    """Resize of opset 10 rounds coordinates down where an axis grows and up where it shrinks.

    Two nodes say so: the first enlarges, the second reduces. Scales that are known not to need both need one.
    """
    scales = node.inputs[2]
    assert scales is not None  # opset 10 requires them
    known = None if scales.const_value is None else scales.const_value.numpy()
    if known is not None and (known >= 1).all():
        return
    up = ir.AttrString("nearest_mode", "ceil")
    if known is not None and (known <= 1).all():
        node.attributes["nearest_mode"] = up
        return
    one = ir.node("Constant", [], {"value": ir.tensor(np.ones(1, np.float32))}, name=f"{node.name}_unscaled")
    larger, smaller = (ir.node(op, [scales, one.outputs[0]], name=f"{node.name}_{op.lower()}") for op in ("Max", "Min"))
    first = ir.node(
        "Resize", [node.inputs[0], node.inputs[1], larger.outputs[0]], name=f"{node.name}_larger", num_outputs=1
    )
    first.attributes.update(node.attributes)
    _name_outputs(one, larger, smaller, first)
    graph_of(node).insert_before(node, [one, larger, smaller, first])
    node.replace_input_with(0, first.outputs[0])
    node.replace_input_with(2, smaller.outputs[0])
    node.attributes["nearest_mode"] = up


def _dropout(node: ir.Node, version: int, _subject: str) -> None:
    """Below opset 12, ONNX Runtime's mask is zeros: of booleans from 10 on, of the input's type before."""
    mask = node.outputs[1] if len(node.outputs) > 1 else None
    if version >= _MASK_IS_ONES or mask is None or not (mask.uses() or mask.is_graph_output()):
        return
    kept = ir.node("Not", [mask], name=f"{node.name}_mask")
    nodes = [kept]
    if version < _MASK_IS_BOOL:
        nodes.append(ir.node("CastLike", [kept.outputs[0], node.inputs[0]], name=f"{node.name}_typed"))
    _name_outputs(*nodes)
    graph_of(node).insert_after(node, nodes)
    _take_place(nodes[-1].outputs[0], mask)
    kept.replace_input_with(0, mask)


def _hardmax(node: ir.Node, version: int, _subject: str) -> None:
    """Below opset 13, `axis` and all behind it are one, as rows of a matrix."""
    x, y = node.inputs[0], node.outputs[0]
    if version >= _HARDMAX_HAS_AN_AXIS or x is None:
        return
    axis = ir.AttrInt64("axis", node.attributes.get_int("axis", 1))
    node.attributes["axis"] = ir.AttrInt64("axis", -1)
    shape = ir.node("Shape", [x], name=f"{node.name}_shape")
    rows = ir.node("Flatten", [x], name=f"{node.name}_rows")
    rows.attributes["axis"] = axis
    back = ir.node("Reshape", [y, shape.outputs[0]], name=f"{node.name}_whole")
    _name_outputs(shape, rows, back)
    graph_of(node).insert_before(node, [shape, rows])
    graph_of(node).insert_after(node, back)
    _take_place(back.outputs[0], y)
    y.shape = None
    node.replace_input_with(0, rows.outputs[0])
    back.replace_input_with(0, y)


def _take_place(new: ir.Value, old: ir.Value) -> None:
    """Let `new` be what `old` was: its name, its type, its readers, an output of the graph."""
    new.name, new.type, new.shape = old.name, old.type, old.shape
    old.name, old.type = f"{old.name}_converted", None
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def _name_outputs(*nodes: ir.Node) -> None:
    for node in nodes:
        node.outputs[0].name = node.name


_CORRECTIONS: dict[str, Callable[[ir.Node, int, str], None]] = {
    "Resize": _resize,
    "Dropout": _dropout,
    "Hardmax": _hardmax,
}
