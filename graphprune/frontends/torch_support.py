"""What `to_torch` takes: functions (but masks) and ONNX's definitions written out, all else refused by name."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.torch_operators import (
    FUNCTIONS,
    FUNCTIONS_OF_ALL_OUTPUTS,
    MODULES,
    MODULES_OF_ALL_OUTPUTS,
)
from graphprune.frontends.torch_operators.refusals import REFUSALS
from graphprune.frontends.torch_operators.values import TYPES
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import describe
from graphprune.masked.functions import NAMES
from graphprune.passes.schema_functions import expand_functions, schema_body
from graphprune.passes.shape_inference import infer_shapes

_UNSIGNED = frozenset({4, 12, 13})  # of more than 8 bits: torch only stores them
_STORING = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})
_FIRST_OUTPUT_ONLY = frozenset({"BatchNormalization", "Dropout", "LayerNormalization", "MaxPool"})


def prepare(model: ir.Model) -> ir.Model:
    """A copy of `model` of operators that torch functions exist for.

    Raises:
        UnsupportedModelError: Operators that are not supported, all in one message (GP130); a use of one that is not,
            or an element type (GP131).
    """
    clone = model.clone()
    if clone.functions:
        common_passes.InlinePass(lambda function: function.domain != DOMAIN or function.name not in NAMES)(clone)
    if any(_is_defined(node.op_type, node.domain) and not _is_supported(node) for node in clone.graph):
        infer_shapes(clone)  # definitions depend on types
        while expand_functions(clone, _is_supported, _body):
            pass
    _verify_operators(clone)
    for value in clone.graph.inputs:
        _verify_type(value)
    for node in clone.graph:
        _verify_node(node)
    return clone


def has_only_first_output(node: ir.Node) -> bool:
    """Whether the function or module of the node returns one value, whatever ONNX does."""
    return node.op_type in _FIRST_OUTPUT_ONLY and not uses_all_outputs(node)


def uses_all_outputs(node: ir.Node) -> bool:
    """Whether the node needs the variant of its operator that returns all outputs."""
    several = node.op_type in FUNCTIONS_OF_ALL_OUTPUTS or node.op_type in MODULES_OF_ALL_OUTPUTS
    return several and bool(used_outputs(node)[1:] or used_outputs(node) == [1])


def used_outputs(node: ir.Node) -> list[int]:
    """The indices of the outputs that something reads."""
    return [index for index, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]


def _is_known(operator: str, domain: str) -> bool:
    is_mask = domain == DOMAIN and operator in NAMES
    return is_mask or (domain == "" and (operator in FUNCTIONS or operator in MODULES or operator == "Constant"))


def _is_supported(node: ir.Node) -> bool:
    return _is_known(node.op_type, node.domain) and _refusal(node) is None


def _refusal(node: ir.Node) -> str | None:
    """Why a node of a known operator cannot be taken, or None."""
    rest = [index for index in used_outputs(node) if index]
    if has_only_first_output(node) and rest:
        return f"its output {rest[0]} is used"
    refusal = REFUSALS.get(node.op_type)
    return None if refusal is None else refusal(node)


def _body(model: ir.Model, node: ir.Node) -> onnx.FunctionProto | None:
    """ONNX's definition of the node, if all of it is known."""
    body = schema_body(model, node)
    known = body is not None and all(
        _is_known(inner.op_type, inner.domain) or _is_defined(inner.op_type, inner.domain) for inner in body.node
    )
    return body if known else None


def _is_defined(operator: str, domain: str) -> bool:
    """Whether ONNX has a definition of the operator by simpler ones."""
    if not onnx.defs.has(operator, domain):
        return False
    schema: Any = onnx.defs.get_schema(operator, domain)  # onnx's type stubs lack functions
    return bool(schema.has_function or schema.has_context_dependent_function)


def _verify_operators(model: ir.Model) -> None:
    missing: dict[str, str] = {}
    for node in model.graph.all_nodes():
        if not _is_known(node.op_type, node.domain):
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            missing.setdefault(name, describe(node))
    if missing:
        where = ", ".join(missing.values())
        raise UnsupportedModelError(f"to_torch: {len(missing)} operators are not supported: {where}", code="GP130")


def _verify_node(node: ir.Node) -> None:
    reason = _refusal(node)
    if reason is not None:
        raise UnsupportedModelError(f"to_torch: {describe(node)}: {reason}", code="GP131")
    for value in (*node.inputs, *node.outputs):
        if value is not None:
            _verify_type(value)
            if value.dtype is not None and value.dtype.value in _UNSIGNED and node.op_type not in _STORING:
                raise UnsupportedModelError(f"to_torch: '{value.name}' is {value.type}", code="GP131")


def _verify_type(value: ir.Value) -> None:
    known = value.dtype is None or value.dtype.value in TYPES
    if not known or not isinstance(value.type, ir.TensorType | None):
        raise UnsupportedModelError(f"to_torch: '{value.name}' is {value.type}", code="GP131")
