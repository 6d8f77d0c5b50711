"""Operators without a kernel that we or ONNX define by simpler ones."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphprune.backends.tvm.operators.support import HALF_OPERATORS
from graphprune.backends.tvm.rewrites.convolutions import convolution
from graphprune.backends.tvm.rewrites.halves import has_halves, in_float32
from graphprune.backends.tvm.rewrites.moving import MOVING
from graphprune.backends.tvm.rewrites.normalizing import NORMALIZING
from graphprune.backends.tvm.rewrites.products import PRODUCTS
from graphprune.backends.tvm.rewrites.quantized import QUANTIZED
from graphprune.backends.tvm.rewrites.transposed import transposed_convolution
from graphprune.passes.contrib.levels import in_bytes
from graphprune.passes.contrib.table import contrib_body, is_contrib, why_not_rewritten
from graphprune.passes.definition import Define, Definition, is_static
from graphprune.passes.schema_functions import schema_body

CONVOLUTIONS: dict[str, Define] = {"Conv": convolution, "ConvTranspose": transposed_convolution}

DEFINITIONS: dict[str, Define] = {**QUANTIZED, **NORMALIZING, **PRODUCTS, **CONVOLUTIONS, **MOVING}
"""What ONNX does not define by simpler operators, or in a way that does not suit static shapes."""

_COMPUTED = frozenset({*NORMALIZING, *PRODUCTS, *CONVOLUTIONS}) - HALF_OPERATORS
"""Definitions of several steps: half-precision floats take them in float32, and are rounded once at the end."""


def definition_of(model: ir.Model, node: ir.Node) -> onnx.FunctionProto | None:
    """Our own definition of the node's operator, else the newest of ONNX that its opset allows, or None."""
    if is_contrib(node):
        return contrib_body(node) if why_not_rewritten(node) is None else None
    if (body := in_bytes(node)) is not None:
        return body
    is_typed = all(value.dtype is not None for value in node.outputs)
    if node.domain == "" and node.op_type in _COMPUTED and has_halves(node) and is_typed:
        return in_float32(node)
    define = DEFINITIONS.get(node.op_type) if node.domain == "" else None
    if define is not None and is_static(node) and (body := define(Definition(node))) is not None:
        return body
    if has_halves(node) and node.op_type not in HALF_OPERATORS and is_typed:
        return in_float32(node)
    return schema_body(model, node)
