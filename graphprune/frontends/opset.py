"""Bring a model to an opset and IR version that every part of the package accepts."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.version_converter
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.old_forms import correct_old_forms
from graphprune.frontends.well_formed import infer_or_refuse
from graphprune.graph.opaque import seal, unseal

TARGET_OPSET = 18
_SMALL_BYTES = 1024  # what an adapter may have to read (axes, ratios, scales) is far smaller

# What onnx's converter (seen on 1.23) takes over as it stands although its meaning changed in that opset.
_MISCONVERTED_BELOW = {"Scan": 9}


def modernize(model: ir.Model, source: Path) -> ir.Model:
    """Convert a model below opset 18 to 18; a newer model keeps its version.

    Raises:
        UnsupportedModelError: An operator has no conversion. [GP113]
    """
    return _convert(model, source) if model.opset_imports.get("", TARGET_OPSET) < TARGET_OPSET else model


def _convert(model: ir.Model, source: Path) -> ir.Model:
    version = model.opset_imports[""]
    subject = f"'{source}' cannot be converted from opset {version} to {TARGET_OPSET}"
    if model.functions:
        # The converter does not enter functions, whose opset must agree with the graph's.
        common_passes.InlinePass()(model)
    _refuse_misconverted(model, version, subject)
    _copy_captured_values(model)
    weights = _weights_to_inputs(model)
    proto = ir.to_proto(model)
    seal(proto)
    try:
        proto = onnx.version_converter.convert_version(proto, TARGET_OPSET)
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        raise UnsupportedModelError(f"{subject}: {' '.join(str(error).split())}", code="GP113") from error
    converted = ir.from_proto(proto)
    unseal(converted)
    _inputs_to_weights(converted, weights)
    correct_old_forms(converted, version, subject)
    common_passes.NameFixPass()(converted)  # the converter numbers new values per graph, so subgraphs clash
    infer_or_refuse(converted, subject, "GP113")
    return converted


def _refuse_misconverted(model: ir.Model, version: int, subject: str) -> None:
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.domain == "" and version < _MISCONVERTED_BELOW.get(node.op_type, 0):
            what = (
                f"node '{node.name}' ({node.op_type}) means something else from {_MISCONVERTED_BELOW[node.op_type]} on"
            )
            raise UnsupportedModelError(f"{subject}: {what}", code="GP113")


def _copy_captured_values(model: ir.Model) -> None:
    """Let subgraphs read outer values through an Identity.

    The converter fails on an operator that it replaces by several (Softmax below 13) where a subgraph reads the result.
    """
    for graph in model.graphs():
        for node in list(graph):
            for output in node.outputs:
                captures = [(reader, index) for reader, index in output.uses() if reader.graph is not graph]
                if captures:
                    copy = ir.node("Identity", [output], name=f"{output.name}_captured")
                    copy.outputs[0].name = f"{output.name}_captured"
                    graph.insert_after(node, copy)
                    for reader, index in captures:
                        reader.replace_input_with(index, copy.outputs[0])


def _weights_to_inputs(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Make large initializers plain inputs: the converter copies the whole file, and needs no weight to do its work."""
    weights = {}
    for name, value in list(model.graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > _SMALL_BYTES:
            weights[name] = value.const_value
            del model.graph.initializers[name]
            value.const_value = None
            model.graph.inputs.append(value)
    return weights


def _inputs_to_weights(model: ir.Model, weights: dict[str, ir.TensorProtocol]) -> None:
    for value in list(model.graph.inputs):
        if value.name in weights:
            model.graph.inputs.remove(value)
            value.const_value = weights[value.name]
            model.graph.register_initializer(value)
    common_passes.RemoveInitializersFromInputsPass()(model)
