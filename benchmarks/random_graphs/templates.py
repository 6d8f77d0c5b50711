"""The operator cases that come with `onnx`: nodes with attributes, and operands of the shapes that they need."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx

from graphprune.testing.onnx_cases import SHAPE_OPERANDS, cases

MOST_ELEMENTS = 2_000
"""Of an operand."""


class Template(NamedTuple):
    """A node, its operands by position, and which of them are no data."""

    node: onnx.NodeProto
    operands: list[np.ndarray | None]
    constants: tuple[int, ...]


@functools.cache
def templates() -> Mapping[str, list[Template]]:
    """Cases of one node by its operator."""
    found: dict[str, list[Template]] = {}
    for case in cases():
        if len(case.model.graph.node) == 1 and case.data and not case.model.functions:
            template = _template(case.model.graph, case.data[0][0])
            if template is not None:
                found.setdefault(template.node.op_type, []).append(template)
    return found


def _template(graph: onnx.GraphProto, inputs: Any) -> Template | None:  # noqa: ANN401 - arrays, protos, lists
    arrays = {info.name: _array(data) for info, data in zip(graph.input, inputs, strict=True)}
    node = graph.node[0]
    operands = [arrays.get(name) for name in node.input]
    if any(array is None and name for array, name in zip(operands, node.input, strict=True)):
        return None
    if any(array is not None and array.size > MOST_ELEMENTS for array in operands):
        return None
    return Template(node, operands, SHAPE_OPERANDS.get(node.op_type, ()))


def _array(data: Any) -> np.ndarray | None:  # noqa: ANN401
    if isinstance(data, onnx.TensorProto):
        return onnx.numpy_helper.to_array(data)
    return np.asarray(data) if isinstance(data, np.ndarray | np.generic | int | float) else None
