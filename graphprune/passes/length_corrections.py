"""Let onnx infer the lengths that ONNX Runtime computes, where the two differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from graphprune.passes.runtime_lengths import (
    Attributes,
    Dims,
    LengthRule,
    PooledLengths,
    ResizedLengths,
    TransposedLengths,
)

_POOLINGS = {"MaxPool", "AveragePool", "LpPool"}
_SCALES = {"Resize": 2, "Upsample": 1}
"""Which input holds the scales."""
_SAME = {b"SAME_UPPER", b"SAME_LOWER"}


class LengthCorrections:
    """The nodes of a proto's main graph that have a rule, and what each was told last.

    The proto is one that only inference reads: its nodes are changed.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._proto = proto
        constants = _constants(proto.graph)
        self._rules = [(n, rule) for n in proto.graph.node if (rule := _rule(n, constants)) is not None]
        self._told: dict[str, Dims] = {}

    def apply(self) -> None:
        """Change nodes until inference finds what ONNX Runtime computes; what contradicts that is not looked at."""
        while self._rules:
            shapes = self._inferred()
            told = [self._tell(node, rule, shapes) for node, rule in self._rules]
            if not any(told):
                return

    def _inferred(self) -> dict[str, Dims | None]:
        bare = onnx.ModelProto()
        bare.CopyFrom(self._proto)
        for output in bare.graph.output:
            output.type.tensor_type.ClearField("shape")
        graph = shape_inference.infer_shapes(bare, strict_mode=False, data_prop=True).graph
        shapes = {each.name: _dims(each) for each in (*graph.input, *graph.value_info, *graph.output)}
        return {**shapes, **{each.name: list(each.dims) for each in graph.initializer}}

    def _tell(self, node: onnx.NodeProto, rule: LengthRule, shapes: Mapping[str, Dims | None]) -> bool:
        """Whether the node had to be told."""
        dims, found = shapes.get(node.input[0]), shapes.get(node.output[0])
        kernel = shapes.get(node.input[1]) if len(node.input) > 1 else None
        wanted = None if dims is None else rule.lengths(dims, kernel)
        if wanted is None or dims is None or found == wanted or self._told.get(node.output[0]) == wanted:
            return False
        self._told[node.output[0]] = wanted
        rule.tell(self._proto.graph, node, dims, wanted)
        return True


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto | onnx.AttributeProto]:
    nodes = (node for node in graph.node if node.op_type == "Constant")
    return {**{each.name: each for each in graph.initializer}, **{node.output[0]: node.attribute[0] for node in nodes}}


def _floats(constant: onnx.TensorProto | onnx.AttributeProto | None) -> np.ndarray | None:
    """The numbers of an initializer or of a Constant, None if there are none."""
    value = helper.get_attribute_value(constant) if isinstance(constant, onnx.AttributeProto) else constant
    if value is None:
        return None
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.array(value)
    return array if array.size and array.dtype.kind == "f" else None


def _rule(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto | onnx.AttributeProto]) -> LengthRule | None:
    if node.domain not in {"", "ai.onnx"}:
        return None
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    is_same = attributes.get("auto_pad", b"NOTSET") in _SAME
    if node.op_type in _POOLINGS and attributes.get("ceil_mode", 0) and not is_same:
        return PooledLengths(attributes)
    if node.op_type == "ConvTranspose" and is_same and "output_shape" not in attributes:
        return TransposedLengths(attributes)
    scales = _scales(node, attributes, constants)
    return None if scales is None else ResizedLengths(scales, attributes.get("axes"), _SCALES[node.op_type])


def _scales(
    node: onnx.NodeProto, attributes: Attributes, constants: Mapping[str, onnx.TensorProto | onnx.AttributeProto]
) -> np.ndarray | None:
    if node.op_type not in _SCALES:
        return None
    if "scales" in attributes:
        return np.array(attributes["scales"], np.float32)
    index = _SCALES[node.op_type]
    return _floats(constants.get(node.input[index]) if len(node.input) > index else None)


def _dims(value: onnx.ValueInfoProto) -> Dims | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
