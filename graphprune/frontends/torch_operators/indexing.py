"""Reading and writing by index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from graphprune.errors import InputError
from graphprune.frontends.torch_operators.values import Value, integer, integers, is_shape, tensor


def _wrapped(indices: torch.Tensor, extent: int) -> torch.Tensor:
    """Negative indices count from the end; those out of range stay so, and torch refuses them."""
    return torch.where((indices < 0) & (indices >= -extent), indices + extent, indices).long()


@contextlib.contextmanager
def _range_of(operator: str, indices: Value, extent: int) -> Iterator[None]:
    """Say which index was out of range, where torch refuses one."""
    try:
        yield
    except (IndexError, RuntimeError) as error:
        places = tensor(indices)
        outside = places[(places < -extent) | (places >= extent)]
        if not outside.numel():
            raise
        message = f"{operator}: index {int(outside[0])} is out of range, expected {-extent} to {extent - 1}"
        raise InputError(message, code="GP125") from error


def gather(x: Value, indices: Value, *, axis: int = 0) -> Value:
    """ONNX Gather.

    Raises:
        InputError: An index is out of range (GP125).
    """
    if isinstance(x, tuple) and is_shape(indices):
        with _range_of("Gather", indices, len(x)):
            return tuple(x[i] for i in indices) if isinstance(indices, tuple) else x[indices]
    data = tensor(x)
    axis %= data.dim()
    places = tensor(indices, data.device)
    with _range_of("Gather", places, data.shape[axis]):
        if is_shape(indices) and not isinstance(indices, tuple):
            return data.select(axis, indices)
        flat = data.index_select(axis, _wrapped(places.reshape(-1), data.shape[axis]))
    return flat.reshape(*data.shape[:axis], *places.shape, *data.shape[axis + 1 :])


def gather_elements(x: torch.Tensor, indices: torch.Tensor, *, axis: int = 0) -> torch.Tensor:
    """ONNX GatherElements.

    Raises:
        InputError: An index is out of range (GP125).
    """
    places = tensor(indices)
    with _range_of("GatherElements", places, x.shape[axis]):
        return torch.gather(x, axis, _wrapped(places, x.shape[axis]))


def gather_nd(x: torch.Tensor, indices: torch.Tensor, *, batch_dims: int = 0) -> torch.Tensor:
    """ONNX GatherND.

    Raises:
        InputError: An index is out of range (GP125).
    """
    places = tensor(indices)
    batch = x.shape[:batch_dims]
    count = int(torch.tensor(batch).prod()) if batch_dims else 1
    flat_x, flat_places = x.reshape(count, *x.shape[batch_dims:]), places.reshape(count, -1, places.shape[-1])
    columns = flat_places.long().unbind(-1)  # negative ones are torch's own
    rows = torch.arange(count, device=x.device)[:, None]
    with contextlib.ExitStack() as ranges:
        for column, extent in zip(columns, flat_x.shape[1:], strict=False):
            ranges.enter_context(_range_of("GatherND", column, extent))
        found = flat_x[(rows, *columns)]
    return found.reshape(*places.shape[:-1], *x.shape[batch_dims + places.shape[-1] :])


_NOWHERE = -1  # an index that torch refuses
_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, axis: int = 0, reduction: str = "none"
) -> torch.Tensor:
    """ONNX ScatterElements.

    Raises:
        InputError: An index is out of range (GP125).
    """
    places = tensor(indices)
    with _range_of("ScatterElements", places, x.shape[axis]):
        return _written(x, axis, _wrapped(places, x.shape[axis]), updates, reduction)


def scatter_nd(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, reduction: str = "none"
) -> torch.Tensor:
    """ONNX ScatterND.

    Raises:
        InputError: An index is out of range (GP125).
    """
    columns = tensor(indices).unbind(-1)
    depth = len(columns)
    rows = x.reshape(-1, *x.shape[depth:])
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    with contextlib.ExitStack() as ranges:
        for column, extent in zip(columns, x.shape[:depth], strict=True):
            ranges.enter_context(_range_of("ScatterND", column, extent))
            inside = (flat >= 0) & (column >= -extent) & (column < extent)
            flat = torch.where(inside, flat * extent + _wrapped(column, extent), _NOWHERE)
        values = updates.reshape(-1, *x.shape[depth:])
        index = flat.reshape(-1, *[1] * (rows.dim() - 1)).expand_as(values)
        return _written(rows, 0, index, values, reduction).reshape(x.shape)


def _written(x: torch.Tensor, axis: int, places: torch.Tensor, updates: torch.Tensor, reduction: str) -> torch.Tensor:
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, _REDUCTIONS[reduction])


def one_hot(indices: Value, depth: Value, values: torch.Tensor, *, axis: int = -1) -> torch.Tensor:
    """ONNX OneHot; indices out of range give no hot element."""
    places, count = tensor(indices).long(), integer(depth)
    places = torch.where(places < 0, places + count, places)
    inside = (places >= 0) & (places < count)
    hot = functional.one_hot(torch.where(inside, places, 0), count).bool() & inside[..., None]
    off, on = values.unbind(0)
    return torch.where(hot, on, off).movedim(-1, axis)


def compress(x: torch.Tensor, condition: torch.Tensor, *, axis: int | None = None) -> torch.Tensor:
    """ONNX Compress; like ONNX Runtime, by a condition of any shape, of which it takes what there are elements for."""
    data, along = (x.reshape(-1), 0) if axis is None else (x, axis)
    chosen = tensor(condition).bool().reshape(-1)[: data.shape[along]].nonzero().reshape(-1)
    return data.index_select(along, chosen)


def reverse_sequence(x: torch.Tensor, lengths: Value, *, batch_axis: int = 1, time_axis: int = 0) -> torch.Tensor:
    """ONNX ReverseSequence."""
    ordered = x.movedim((batch_axis, time_axis), (0, 1))
    steps = torch.arange(ordered.shape[1], device=x.device)
    length = tensor(lengths, x.device)[:, None]
    source = torch.where(steps < length, length - 1 - steps, steps)
    index = source.reshape(*source.shape, *[1] * (ordered.dim() - 2)).expand_as(ordered)
    return torch.gather(ordered, 1, index).movedim((0, 1), (batch_axis, time_axis))


def center_crop_pad(x: torch.Tensor, to: Value, *, axes: tuple[int, ...] | None = None) -> torch.Tensor:
    """ONNX CenterCropPad."""
    along = range(x.dim()) if axes is None else axes
    for axis, wanted in zip(along, integers(to), strict=True):
        extent = x.shape[axis]
        if wanted < extent:
            x = x.narrow(axis, (extent - wanted) // 2, wanted)
        elif wanted > extent:
            begin = (wanted - extent) // 2
            pads = [0] * (2 * x.dim())
            place = 2 * (x.dim() - 1 - axis % x.dim())
            pads[place], pads[place + 1] = begin, wanted - extent - begin
            x = functional.pad(x, pads)
    return x


def tensor_scatter(
    cache: torch.Tensor, update: torch.Tensor, starts: Value | None = None, *, axis: int = -2, mode: str = "linear"
) -> torch.Tensor:
    """ONNX TensorScatter: writes `update` into each row of the cache from its start on, `circular` or not."""
    along, extent = axis % cache.dim(), cache.shape[axis]
    first = torch.zeros(cache.shape[0], dtype=torch.int64) if starts is None else tensor(starts)
    places = first.to(cache.device)[:, None] + torch.arange(update.shape[along], device=cache.device)
    places = places % extent if mode == "circular" else places
    shape = [n if a in {0, along} else 1 for a, n in enumerate(update.shape)]
    return cache.scatter(along, places.reshape(shape).expand_as(update), update)


TABLE: dict[str, Callable[..., Any]] = {
    "CenterCropPad": center_crop_pad,
    "Compress": compress,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonZero": lambda x: (x if x.dim() else x.reshape(1)).nonzero().T,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TensorScatter": tensor_scatter,
}
