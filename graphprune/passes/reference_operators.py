"""Operators that onnx's reference evaluator lacks or computes wrongly, for it to find by the names of their classes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as Ungrouped
from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_25 as Newest


class Clip(OpRun):
    """Without a limit ends at the last finite number, as ONNX Runtime does."""

    def _run(self, x: Any, low: Any = None, high: Any = None) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        limits = _limits(x.dtype)
        low, high = (other if given is None else given for given, other in zip((low, high), limits, strict=True))
        return (np.minimum(np.maximum(x, low), high).astype(x.dtype),)


class ConvTranspose(Ungrouped):
    """Runs groups one by one: onnx's own fails on more than one."""

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        count = attributes.pop("group", None) or 1
        run = super()._run
        parts = [
            run(x, w, None, group=1, **attributes)[0]  # type: ignore[no-untyped-call]
            for x, w in zip(np.split(inputs[0], count, axis=1), np.split(inputs[1], count, axis=0), strict=True)
        ]
        result = np.concatenate(parts, axis=1)
        bias = inputs[2] if len(inputs) > 2 else None  # noqa: PLR2004
        return (result if bias is None else result + bias.reshape(-1, *[1] * (result.ndim - 2)),)


class DequantizeLinear(Newest):
    """Takes any version: onnx lacks those before 19, which are the newest one without its further attributes."""

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        given = {name: value for name, value in attributes.items() if value is not None}
        result: tuple[Any, ...] = super()._run(*inputs, **given)
        return result


class DynamicQuantizeLinear(OpRun):
    """Gives zeros the scale 1: onnx's own divides it by 255."""

    def _run(self, x: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
        scale = (high - low) / np.float32(255) if high > low else np.float32(1)
        zero = np.rint(np.clip(-low / scale, 0, 255))
        y = np.clip(np.rint(x / scale) + zero, 0, 255)
        return y.astype(np.uint8), np.asarray(scale, x.dtype), np.asarray(zero, np.uint8)


class GatherElements(OpRun):
    """Takes along the axis: onnx's own fails on more than 32 elements."""

    def _run(self, data: Any, indices: Any, axis: int | None = None) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        along = (axis or 0) % data.ndim
        read = tuple(slice(None if at == along else extent) for at, extent in enumerate(indices.shape))
        return (np.take_along_axis(data[read], indices, along),)


class LRN(OpRun):
    """Normalises every channel: onnx's own counts them by the size of the batch."""

    def _run(self, x: Any, alpha: float, beta: float, bias: float, size: int) -> tuple[Any, ...]:  # noqa: ANN401
        before, after = (min(n, x.shape[1]) for n in ((size - 1) // 2, size // 2))
        pads = [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)]
        squares = np.pad(np.square(x), pads)
        windows = np.lib.stride_tricks.sliding_window_view(squares, before + 1 + after, axis=1)
        return ((x / (bias + alpha / size * windows.sum(axis=-1)) ** beta).astype(x.dtype),)


class OneHot(OpRun):
    """Chooses between both values: onnx's own adds their difference, which rounds."""

    def _run(self, indices: Any, depth: Any, values: Any, axis: int | None = None) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        count, places = int(np.ravel(depth)[0]), np.asarray(indices).astype(np.int64)[..., None]
        places = np.where(places < 0, places + count, places)
        chosen = np.moveaxis(places == np.arange(count), -1, -1 if axis is None else axis)
        return (np.where(chosen, values[1], values[0]).astype(values.dtype),)


class PRelu(OpRun):
    """Multiplies what is negative: onnx's own multiplies the others too, by zero."""

    def _run(self, x: Any, slope: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as its base
        with np.errstate(all="ignore"):
            return (np.where(x < 0, x * slope, x).astype(x.dtype),)


MENDED: tuple[type[OpRun], ...] = (
    Clip,
    ConvTranspose,
    DequantizeLinear,
    DynamicQuantizeLinear,
    GatherElements,
    LRN,
    OneHot,
    PRelu,
)
"""All of them."""


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the least and the largest number of a type."""
    limits = np.iinfo(dtype) if dtype.kind in "iu" else ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return limits.min, limits.max
