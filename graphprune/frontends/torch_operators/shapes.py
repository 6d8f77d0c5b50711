"""Shapes: reading them, and changing them without changing values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from graphprune.frontends.torch_operators.values import TYPES, Value, integer, integers, is_shape, tensor


def shape(x: Value, *, start: int = 0, end: int | None = None) -> tuple[int, ...]:
    """ONNX Shape."""
    extents = tuple(x.shape) if isinstance(x, torch.Tensor) else (len(x),) if isinstance(x, tuple) else ()
    return extents[start:end]


def size(x: Value) -> int:
    """ONNX Size."""
    count = 1
    for extent in shape(x):
        count = count * extent
    return count


def reshape(x: Value, to: Value, *, allowzero: int = 0) -> Value:
    """ONNX Reshape: 0 keeps an extent unless `allowzero`, -1 is inferred."""
    wanted = integers(to)
    if is_shape(x) and wanted in {(-1,), (1,), ()}:
        return integer(x) if wanted == () else integers(x)
    data = tensor(x)
    if not allowzero:
        wanted = tuple(data.shape[i] if extent == 0 else extent for i, extent in enumerate(wanted))
    return data.reshape(wanted)


def flatten(x: torch.Tensor, *, axis: int = 1) -> torch.Tensor:
    """ONNX Flatten."""
    axis = axis % x.dim() if axis < 0 else axis
    rows = 1
    for extent in x.shape[:axis]:
        rows = rows * extent
    columns = 1
    for extent in x.shape[axis:]:
        columns = columns * extent
    return x.reshape(rows, columns)


def transpose(x: Value, *, perm: Sequence[int] | None = None) -> Value:
    """ONNX Transpose."""
    if is_shape(x):
        return x
    data = tensor(x)
    return data.permute(*(perm if perm is not None else reversed(range(data.dim())))) if data.dim() else data


def squeeze(x: Value, axes: Value | None = None) -> Value:
    """ONNX Squeeze."""
    if is_shape(x) and len(integers(x)) == 1:
        return integer(x)
    data = tensor(x)
    return data.squeeze() if axes is None else data.squeeze(tuple(integers(axes))) if integers(axes) else data


def unsqueeze(x: Value, axes: Value) -> Value:
    """ONNX Unsqueeze."""
    chosen = integers(axes)
    if is_shape(x) and not isinstance(x, tuple) and len(chosen) == 1:
        return (x,)
    data = tensor(x)
    rank = data.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        data = data.unsqueeze(axis)
    return data


def expand(x: torch.Tensor, to: Value) -> torch.Tensor:
    """ONNX Expand: both shapes are broadcast together."""
    data, wanted = x, integers(to)
    missing = max(0, data.dim() - len(wanted))
    wanted = (1,) * missing + wanted
    own = (1,) * (len(wanted) - data.dim()) + tuple(data.shape)
    return data.expand(tuple(have if want == 1 else want for have, want in zip(own, wanted, strict=True)))


def tile(x: torch.Tensor, repeats: Value) -> torch.Tensor:
    """ONNX Tile."""
    return x.repeat(integers(repeats))


def concat(*values: Value, axis: int) -> Value:
    """ONNX Concat."""
    if all(is_shape(value) for value in values):
        return tuple(itertools.chain.from_iterable(integers(value) for value in values))
    device = next(value.device for value in values if isinstance(value, torch.Tensor))
    return torch.cat([tensor(value, device) for value in values], axis)


def split(x: Value, sizes: Value | None = None, *, axis: int = 0, num_outputs: int | None = None) -> tuple[Any, ...]:
    """ONNX Split."""
    if sizes is None:
        assert num_outputs is not None  # the graph builder gives it
        extent = shape(x)[axis]
        step = -(-extent // num_outputs)
        parts = [step] * (num_outputs - 1) + [extent - step * (num_outputs - 1)]
    else:
        parts = list(integers(sizes))
    if isinstance(x, tuple):
        ends = list(itertools.accumulate(parts))
        return tuple(x[end - part : end] for part, end in zip(parts, ends, strict=True))
    return torch.split(tensor(x), parts, axis)


def slice_(x: Value, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None) -> Value:
    """ONNX Slice, with negative steps too."""
    begins, stops = integers(starts), integers(ends)
    along = integers(axes) if axes is not None else tuple(range(len(begins)))
    strides = integers(steps) if steps is not None else (1,) * len(begins)
    if isinstance(x, tuple):
        return x[_python_slice(begins[0], stops[0], strides[0], len(x))]
    data = tensor(x)
    for axis, begin, stop, stride in zip(along, begins, stops, strides, strict=True):
        data = _slice_axis(data, axis, begin, stop, stride)
    return data


def _python_slice(begin: int, stop: int, stride: int, extent: int) -> slice:
    return slice(begin, None if stride < 0 and stop < -extent else stop, stride)


def _slice_axis(data: torch.Tensor, axis: int, begin: int, stop: int, stride: int) -> torch.Tensor:
    if stride > 0:
        index: list[Any] = [slice(None)] * data.dim()
        index[axis] = slice(begin, stop, stride)
        return data[tuple(index)]
    positions = range(data.shape[axis])[_python_slice(begin, stop, stride, data.shape[axis])]
    return data.index_select(axis, torch.tensor(list(positions), dtype=torch.int64, device=data.device))


_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def pad(
    x: torch.Tensor,
    pads: Value,
    value: torch.Tensor | float | tuple[float, ...] | None = None,
    axes: Value | None = None,
    *,
    mode: str = "constant",
) -> torch.Tensor:
    """ONNX Pad; negative padding crops. Files hold `value` as a scalar, or as a vector of one element."""
    amounts = integers(pads)
    along = [axis % x.dim() for axis in (integers(axes) if axes is not None else range(x.dim()))]
    begins, ends = [0] * x.dim(), [0] * x.dim()
    for index, axis in enumerate(along):
        begins[axis], ends[axis] = amounts[index], amounts[len(along) + index]
    if mode == "constant":
        flat = list(itertools.chain.from_iterable(zip(reversed(begins), reversed(ends), strict=True)))
        return functional.pad(x, flat, value=_scalar(value))
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin or end:
            x = x.index_select(axis, _source(x.shape[axis], begin, end, mode).to(x.device))
    return x


def _scalar(value: torch.Tensor | float | tuple[float, ...] | None) -> float:
    if isinstance(value, torch.Tensor):
        return float(value.item())
    return value[0] if isinstance(value, tuple) else value or 0


def _source(extent: int, begin: int, end: int, mode: str) -> torch.Tensor:
    """Which element each position of a padded axis repeats."""
    places = torch.arange(-begin, extent + end)
    if mode == "edge":
        return places.clamp(0, extent - 1)
    if mode == "wrap":
        return places % extent
    period = max(1, 2 * (extent - 1))
    folded = places % period
    return torch.where(folded < extent, folded, period - folded)


def depth_to_space(x: torch.Tensor, *, blocksize: int, mode: str = "DCR") -> torch.Tensor:
    """ONNX DepthToSpace."""
    n, c, h, w = x.shape
    inner = c // blocksize**2
    if mode == "DCR":
        blocks = x.reshape(n, blocksize, blocksize, inner, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, inner, blocksize, blocksize, h, w).permute(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, inner, h * blocksize, w * blocksize)


def space_to_depth(x: torch.Tensor, *, blocksize: int, mode: str = "DCR") -> torch.Tensor:
    """ONNX SpaceToDepth."""
    n, c, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize).permute(order)
    return blocks.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def constant_of_shape(to: Value, *, value: torch.Tensor | None = None) -> Value:
    """ONNX ConstantOfShape."""
    filled = torch.zeros(1) if value is None else value
    extents = integers(to)
    if len(extents) == 1 and filled.dtype == torch.int64:
        return (int(filled.item()),) * extents[0]
    return filled.reshape(()).expand(extents)


def range_(start: Value, limit: Value, delta: Value) -> torch.Tensor:
    """ONNX Range."""
    bounds = (start, limit, delta)
    if all(is_shape(value) for value in bounds):
        return torch.arange(*(integer(value) for value in bounds), dtype=torch.int64)
    tensors = [tensor(value) for value in bounds]
    first, end, step = (value.item() for value in tensors)
    if torch.compiler.is_compiling() or not step:
        return torch.arange(first, end, step, dtype=tensors[0].dtype)
    count = -((first - end) // step)  # torch refuses one below 0, and takes the wrong one of steps near the limit
    return torch.arange(max(int(count), 0), dtype=tensors[0].dtype) * step + first


def eye_like(x: torch.Tensor, *, dtype: int | None = None, k: int = 0) -> torch.Tensor:
    """ONNX EyeLike."""
    rows, columns = x.shape
    places = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]
    return (places == k).to(x.dtype if dtype is None else TYPES[dtype])


def trilu(x: torch.Tensor, k: Value = 0, *, upper: int = 1) -> torch.Tensor:
    """ONNX Trilu."""
    return torch.triu(x, integer(k)) if upper else torch.tril(x, integer(k))


TABLE: dict[str, Callable[..., Any]] = {
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Identity": lambda x: x,
    "Pad": pad,
    "Range": range_,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
