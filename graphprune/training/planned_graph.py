"""The graph that a plan is made for: the module's, as if nothing in it were quantized."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.folding import Folder
from graphprune.passes.rewriting import bypass, why_not_bypass

_CHANNELS = 2  # a factor of each output of a weight [outputs, inputs, ...] broadcasts from this axis


def without_quantizers(model: ir.Model) -> None:
    """Let what reads a quantized value read the value itself, and products by a weight that is scaled the weight.

    Masks are of the weights that the optimizer trains, in front of the quantizers; a factor of each output, as torch's
    quantized convolutions with BatchNorm put there, leaves zeros where they are.
    """
    folder = Folder(model)
    for node in list(model.graph):
        if node.op_type == "DequantizeLinear" and (value := _quantized(node)) is not None:
            value = _unscaled(value, folder)
            if why_not_bypass(node, value) is None:
                bypass(node, value)


def _quantized(node: ir.Node) -> ir.Value | None:
    """What is quantized, perhaps bounded, and dequantized by `node`."""
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    if maker is not None and maker.op_type == "Clip":
        maker = maker.inputs[0].producer() if maker.inputs[0] is not None else None
    return maker.inputs[0] if maker is not None and maker.op_type == "QuantizeLinear" else None


def _unscaled(value: ir.Value, folder: Folder) -> ir.Value:
    """The weight that `value` is the product of, by a factor of each of its outputs."""
    product = value.producer()
    if product is None or product.op_type != "Mul":
        return value
    weight, factor = product.inputs
    if weight is None or factor is None or not weight.is_initializer() or not folder.is_constant(factor):
        return value
    wide = () if factor.shape is None or not factor.shape.is_static() else factor.shape.numpy()
    return weight if len(wide) >= _CHANNELS and all(size == 1 for size in wide[1:]) else value
