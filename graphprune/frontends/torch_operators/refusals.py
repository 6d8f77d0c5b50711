"""Why a node is refused although its operator is known: what torch cannot reproduce exactly."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from graphprune.frontends.torch_operators.recurrent import ACTIVATIONS

_DROPOUT_MODE = 2  # the input of Dropout that tells training from inference
_VOLUME = 5  # rank of images of three spatial axes
_RESIZE_MODES = {
    "mode": ("nearest", "linear", "cubic"),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
    "coordinate_transformation_mode": (
        *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners"),
        *("asymmetric", "tf_crop_and_resize"),
    ),
}

Refusal = Callable[[ir.Node], str | None]


def _dropout(node: ir.Node) -> str | None:
    """A Dropout that the file itself puts in training mode is random wherever it runs."""
    value = node.inputs[_DROPOUT_MODE] if len(node.inputs) > _DROPOUT_MODE else None
    if value is None:
        return None
    mode = ir.convenience.get_const_tensor(value)
    return "its training_mode is not false" if mode is None or bool(mode.numpy()) else None


def _recurrent(node: ir.Node) -> str | None:
    unknown = [name for name in node.attributes.get_strings("activations", []) if name not in ACTIVATIONS]
    return f"activation '{unknown[0]}'" if unknown else None


def _quantized_matmul(node: ir.Node) -> str | None:
    """Scales by row or column would need each product's own rounding."""
    for value in (node.inputs[index] for index in (1, 2, 4, 5, 6, 7)):
        if value is None or value.shape is None or not value.shape.is_static() or value.shape.numpy() not in {(), (1,)}:
            return "its scales and zero points are not single numbers"
    return None


def _gather(node: ir.Node) -> str | None:
    """An index of the file that is out of range: the node fails wherever it runs."""
    x, indices = node.inputs
    places = None if indices is None else ir.convenience.get_const_tensor(indices)
    if places is None or x is None or x.shape is None:
        return None
    extent = x.shape[node.attributes.get_int("axis", 0)]
    if not isinstance(extent, int):
        return None
    outside = [index for index in places.numpy().flat if not -extent <= index < extent]
    return f"index {outside[0]} is out of range, expected {-extent} to {extent - 1}" if outside else None


def _resize(node: ir.Node) -> str | None:
    for name, known in _RESIZE_MODES.items():
        found = node.attributes.get_string(name, known[0])
        if found not in known:
            return f"{name} '{found}'"
    return None


def _grid_sample(node: ir.Node) -> str | None:
    mode = node.attributes.get_string("mode", "linear")
    x = node.inputs[0]
    rank = None if x is None or x.shape is None else x.shape.rank()
    return "torch has no cubic sampling of volumes" if mode in {"cubic", "bicubic"} and rank == _VOLUME else None


def _pooling(node: ir.Node) -> str | None:
    """A window that is larger than its input: torch gives no tensors without elements here."""
    shape = node.outputs[0].shape
    return "its output has no elements" if shape is not None and 0 in shape[2:] else None


REFUSALS: dict[str, Refusal] = {
    "Dropout": _dropout,
    "GRU": _recurrent,
    "Gather": _gather,
    "GridSample": _grid_sample,
    "LSTM": _recurrent,
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _pooling),
    "QLinearMatMul": _quantized_matmul,
    "RNN": _recurrent,
    "Resize": _resize,
}
"""Operator -> the reason that a node of it is refused, or None."""
