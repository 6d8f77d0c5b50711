"""What onnx's checker does not look at in the attributes of nodes: flags, and the bytes of tensors."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from graphprune.errors import ModelFileError, UnsupportedModelError
from graphprune.frontends.external_data import why_unfilled
from graphprune.graph.einsum import is_equation
from graphprune.graph.nodes import all_nodes, describe

FLAGS = frozenset(
    {
        *("align_corners", "allowzero", "antialias", "ceil_mode", "center_point_box", "count_include_pad"),
        *("detect_negative", "detect_positive", "exclude_outside", "exclusive", "fmod", "input_forget", "interleaved"),
        *("inverse", "is_causal", "keepdims", "largest", "layout", "linear_before_reset", "new_axis"),
        *("noop_with_empty_axes", "onesided", "periodic", "reverse", "saturate", "select_last_index", "sorted"),
        *("storage_order", "training_mode", "transA", "transB", "upper"),
    }
)
"""Integers of ONNX's operators that say yes or no."""


REDUCTIONS = {
    **dict.fromkeys(("ScatterElements", "ScatterND"), ("none", "add", "mul", "max", "min")),
    **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), ("none", "sum", "mean")),
}
"""The words for `reduction`, by operator."""


def check_attributes(model: ir.Model, source: Path) -> None:
    """Check the attributes of all nodes, those of functions and subgraphs too.

    Raises:
        ModelFileError: The bytes of a tensor do not fill its shape [GP105].
        UnsupportedModelError: A flag is neither 0 nor 1, or a reduction none that there is, so operators and runtimes
            differ about it [GP387], a string is no text [GP389], or a window is padded by `pads` and by `auto_pad`
            [GP390], or the equation of an Einsum is none, which onnx's shape inference may never end on [GP391].
    """
    for node in all_nodes(model):
        _check_padding(node, source)
        _check_reduction(node, source)
        _check_equation(node, source)
        for attribute in node.attributes.values():
            if attribute.is_ref():
                continue
            if node.domain == "" and attribute.name in FLAGS and attribute.value not in (0, 1):
                raise UnsupportedModelError(
                    f"'{source}': {describe(node)}: {attribute.name} is {attribute.value}, expected 0 or 1",
                    code="GP387",
                )
            if attribute.type == ir.AttributeType.STRING and node.domain == "" and isinstance(attribute.value, bytes):
                what = f"{describe(node)}: {attribute.name} is {attribute.value!r}, expected text in UTF-8"
                raise UnsupportedModelError(f"'{source}': {what}", code="GP389")
            for tensor in _tensors(attribute):
                _check_bytes(node, attribute.name, tensor)


def _check_reduction(node: ir.Node, source: Path) -> None:
    known, given = REDUCTIONS.get(node.op_type), node.attributes.get("reduction")
    if node.domain or known is None or given is None or given.is_ref() or given.value in known:
        return
    expected = f"expected one of {', '.join(known)}"
    raise UnsupportedModelError(f"'{source}': {describe(node)}: reduction is {given.value!r}, {expected}", code="GP387")


def _check_equation(node: ir.Node, source: Path) -> None:
    given = node.attributes.get("equation")
    if node.domain or node.op_type != "Einsum" or given is None or given.is_ref() or is_equation(str(given.value)):
        return
    what = f"{describe(node)}: equation is {reprlib.repr(given.value)}, expected terms of letters, as 'ij,jk->ik'"
    raise UnsupportedModelError(f"'{source}': {what}", code="GP391")


def _check_padding(node: ir.Node, source: Path) -> None:
    automatic, pads = node.attributes.get("auto_pad"), node.attributes.get("pads")
    if node.domain or automatic is None or pads is None or automatic.is_ref() or pads.is_ref():
        return
    if automatic.value != "NOTSET" and any(pads.value):
        what = f"{describe(node)}: auto_pad is {automatic.value}, and pads are {list(pads.value)}"
        raise UnsupportedModelError(f"'{source}': {what}, expected one of both", code="GP390")


def _tensors(attribute: ir.Attr) -> Iterator[ir.TensorProtocol]:
    if attribute.type == ir.AttributeType.TENSOR:
        yield attribute.as_tensor()
    elif attribute.type == ir.AttributeType.TENSORS:
        yield from attribute.as_tensors()


def _check_bytes(node: ir.Node, name: str, tensor: ir.TensorProtocol) -> None:
    reason = why_unfilled(tensor)
    if reason is not None:
        raise ModelFileError(f"{describe(node)}: the bytes of {name} do not fill {reason}", code="GP105")
