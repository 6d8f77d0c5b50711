"""Fake quantizers of torch on their way to ONNX: with the ranges that they have now, in any range of 8 bits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset18
from torch import nn

from graphprune.errors import PreconditionError, UnsupportedModelError
from graphprune.frontends.quantizer_arithmetic import TYPES, limits

_Value = Any  # onnxscript's
_FakeQuantizer = Any  # torch's or torchao's
op: Any = opset18  # whose types are of values in scripts, not of those in a translation
_ATTRIBUTES = ("fake_quant_enabled", "activation_post_process", "scale", "zero_point", "is_per_channel")
_NO_AXES = ir.tensor(np.empty(0, np.int64), name="no_axes")


@contextlib.contextmanager
def fixed_ranges(program: nn.Module | torch.export.ExportedProgram) -> Iterator[None]:
    """Let fake quantizers observe nothing: they quantize by the scales that they hold, if they have any."""
    found = _quantizers(program)
    for child in found.values():
        child.forward = _inference(child)
    try:
        yield
    finally:
        for child in found.values():
            del child.forward


def verify_observed(program: nn.Module | torch.export.ExportedProgram) -> None:
    """Check that every fake quantizer that is switched on has a scale.

    Raises:
        PreconditionError: One has seen no value [GP148].
    """
    for name, child in _quantizers(program).items():
        if int(child.fake_quant_enabled[0]) and not _is_observed(child):
            reason = "has seen no value, so it has no scale; run some inputs through the module in training mode first"
            raise PreconditionError(f"{type(program).__name__}: fake quantizer '{name}' {reason}", code="GP148")


def _quantizers(program: nn.Module | torch.export.ExportedProgram) -> dict[str, _FakeQuantizer]:
    """By what they hold: torch's are about to leave for torchao, which has classes of its own."""
    children = program.named_modules() if isinstance(program, nn.Module) else ()
    return {name: child for name, child in children if all(hasattr(child, each) for each in _ATTRIBUTES)}


def _is_observed(child: _FakeQuantizer) -> bool:
    """Whether it holds another scale than the one that it is made with."""
    lowest = getattr(child.activation_post_process, "min_val", None)
    has_range = lowest is None or (bool(torch.isfinite(lowest).all()) and lowest.numel() > 0)
    return has_range or bool((child.scale != 1).any()) or bool(child.zero_point.any())


def _inference(child: _FakeQuantizer) -> Callable[[torch.Tensor], torch.Tensor]:
    if not int(child.fake_quant_enabled[0]) or not _is_observed(child):
        return lambda x: x
    observer: Any = child.activation_post_process
    low, high, axis = int(observer.quant_min), int(observer.quant_max), int(child.ch_axis)
    if child.is_per_channel:
        return lambda x: torch.fake_quantize_per_channel_affine(x, child.scale, child.zero_point, axis, low, high)
    scale, point = float(child.scale), int(child.zero_point)
    return lambda x: torch.fake_quantize_per_tensor_affine(x, scale, point, low, high)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what `torch.onnx.export` makes of fake quantization: QuantizeLinear, Clip and DequantizeLinear."""
    aten = torch.ops.aten
    return {
        aten.fake_quantize_per_tensor_affine.default: _per_tensor,
        aten.fake_quantize_per_tensor_affine.tensor_qparams: _per_tensor,
        aten.fake_quantize_per_channel_affine.default: _per_channel,
    }


def _per_tensor(x: _Value, scale: float | _Value, zero_point: int | _Value, quant_min: int, quant_max: int) -> _Value:
    given = op.Constant(value_float=scale) if isinstance(scale, float) else op.Reshape(scale, _NO_AXES)
    point = op.Constant(value_int=zero_point) if isinstance(zero_point, int) else op.Reshape(zero_point, _NO_AXES)
    return _fake_quantize(x, given, point, 0, (quant_min, quant_max))


def _per_channel(x: _Value, scale: _Value, zero_point: _Value, axis: int, quant_min: int, quant_max: int) -> _Value:
    return _fake_quantize(x, scale, zero_point, axis, (quant_min, quant_max))


def _fake_quantize(x: _Value, scale: _Value, zero_point: _Value, axis: int, levels: tuple[int, int]) -> _Value:
    dtype = next((each for each in TYPES if limits(each)[0] <= levels[0] and levels[1] <= limits(each)[1]), None)
    if dtype is None:
        raise UnsupportedModelError(f"fake quantization on the levels {levels}, which 8 bits do not hold", code="GP121")
    kind = x.dtype
    point = op.Cast(zero_point, to=dtype)
    quantized = op.QuantizeLinear(op.Cast(x, to=ir.DataType.FLOAT), scale, point, axis=axis)
    if levels != limits(dtype):
        bounds = (op.Cast(op.Constant(value_int=level), to=dtype) for level in levels)
        quantized = op.Clip(quantized, *bounds)
    return op.Cast(op.DequantizeLinear(quantized, scale, point, axis=axis), to=kind)
