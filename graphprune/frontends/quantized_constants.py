"""Quantized weights as integers, where a file or an export holds floats in front of QuantizeLinear."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.folding import Folder
from graphprune.passes.fresh_names import FreshNames

_QUANTIZERS = ("DequantizeLinear", "QuantizeLinear")


def fold_parameters(model: ir.Model) -> None:
    """Compute the scales and zero points of QuantizeLinear and DequantizeLinear that depend on constants alone."""
    folder = Folder(model)
    for node in [node for node in model.graph if node.op_type in _QUANTIZERS]:
        for index in range(1, len(node.inputs)):
            folder.fold(node, index)


def fold_quantized_constants(model: ir.Model) -> None:
    """Store the integers of constants that go through QuantizeLinear, as trained fake quantizers leave them.

    The integers of the weight `w` are called `w_quantized`, as ONNX Runtime's quantizer calls them.
    """
    folder, names = Folder(model), FreshNames(model)
    for node in [node for node in model.graph if node.op_type == "DequantizeLinear" and not node.domain]:
        weight = _weight(node.inputs[0]) if folder.is_constant(node.inputs[0]) else None
        if weight is not None and folder.fold(node, 0) is not None:
            integers = node.inputs[0]
            assert integers is not None  # it was folded
            if integers.name != f"{weight}_quantized":
                integers.name = names.take(f"{weight}_quantized")


def _weight(integers: ir.Value | None) -> str | None:
    """The name of what QuantizeLinear makes these integers of: where that is computed, of what it begins with."""
    value, is_quantized = integers, False
    while value is not None and (node := value.producer()) is not None:
        is_quantized = is_quantized or node.op_type == "QuantizeLinear"
        value = node.inputs[0] if node.inputs else None
    return value.name if is_quantized and value is not None else None
