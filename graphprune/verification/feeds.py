"""Seeded random inputs that a model accepts: token ids stay inside the table that they index."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.errors import InputError
from graphprune_runtime.interface import TensorInfo

# Operators whose outputs hold values of their first input (of any, for Concat), moved or repeated but not changed.
_MOVES = frozenset(
    "Cast Clip Concat Expand Flatten Gather GatherElements GatherND Identity".split()  # noqa: SIM905
    + "Pad Reshape Slice Split Squeeze Tile Transpose Unsqueeze".split()  # noqa: SIM905
)
# Those that hold one or another of their inputs at these positions.
_CHOICES = {"Where": (1, 2), "Max": (0, 1), "Min": (0, 1)}
_DEFAULT_LIMIT = 2
_NARROW = ("int8", "uint8")


def random_feed(
    inputs: ir.Model | Iterable[TensorInfo],
    seed: int = 0,
    shapes: Mapping[str, Sequence[int]] | None = None,
    limits: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Draw one value for every input.

    Floats are standard normal, booleans fair coins. Integers that index a table (`Gather` and the like) are valid rows
    of it; of the others, those of 8 bits take their whole range, one with `mask` in its name is one but for its last
    quarter, a padding mask, and any other is zero or one.

    Args:
        inputs: a model, or the inputs of a session.
        seed: the same seed, name, shape and type give the same values.
        shapes: extents for inputs with open dimensions; an open first dimension is otherwise 1, a batch.
        limits: exclusive upper bounds of integer inputs, default `index_limits` of the model.

    Returns:
        An array by input name.

    Raises:
        InputError: a dimension is open, a name or a shape in `shapes` does not fit, or a type cannot be drawn.
    """
    if isinstance(inputs, ir.Model):
        limits = index_limits(inputs) if limits is None else limits
        inputs = tensor_infos(inputs.graph.inputs)
    infos = list(inputs)
    given = dict(shapes or {})
    known = [info.name for info in infos]
    for name in given:
        if name not in known:
            raise InputError(f"shape given for unknown input {name!r}, expected one of {known}", code="GP541")
    feed = {}
    for info in infos:
        rng = np.random.default_rng((seed, zlib.crc32(info.name.encode())))
        shape = _static_shape(info, given.get(info.name))
        feed[info.name] = _draw(rng, info, shape, (limits or {}).get(info.name))
    return feed


def index_limits(model: ir.Model) -> dict[str, int]:
    """The rows of the smallest table that each integer input indexes, for those that index one."""
    limits = {}
    for value in model.graph.inputs:
        rows = _table_rows(model, value)
        if value.name and rows:
            limits[value.name] = min(rows)
    return limits


def merged_limits(models: Iterable[ir.Model]) -> dict[str, int]:
    """Return what `index_limits` says of each model, and the lowest of what they say of one input."""
    limits: dict[str, int] = {}
    for model in models:
        for name, limit in index_limits(model).items():
            limits[name] = min(limit, limits.get(name, limit))
    return limits


def _table_rows(model: ir.Model, value: ir.Value) -> list[int]:
    """Rows of every table that `value`, or a copy of its values, indexes; in functions that it is passed into too."""
    rows = []
    pending, seen = [value], {value}
    while pending:
        for node, position in pending.pop().uses():
            if position == 1 and node.op_type in _INDEXING:
                rows.extend(_INDEXING[node.op_type](node))
                continue
            copies = _copies(model, node, position)
            pending.extend(copy for copy in copies if copy not in seen)
            seen.update(copies)
    return rows


def _copies(model: ir.Model, node: ir.Node, position: int) -> Sequence[ir.Value]:
    """The values that hold elements of what `node` reads at that position."""
    function = model.functions.get(node.op_identifier())
    if function is not None:
        return function.inputs[position : position + 1]
    moves = position in _CHOICES.get(node.op_type, ()) or (position == 0 and node.op_type in _MOVES)
    return node.outputs if moves or node.op_type == "Concat" else ()


def _extent_along_axis(node: ir.Node) -> list[int]:
    table, axis = node.inputs[0], node.attributes.get_int("axis", 0)
    if table is None or table.shape is None or not -len(table.shape) <= axis < len(table.shape):
        return []
    extent = table.shape[axis]
    return [extent] if isinstance(extent, int) else []


def _indexed_extents(node: ir.Node) -> list[int]:
    """The extents of the axes that the last axis of the indices of GatherND goes over."""
    table, indices = node.inputs[0], node.inputs[1]
    if table is None or table.shape is None or indices is None or indices.shape is None or not indices.shape.rank():
        return []
    first, count = node.attributes.get_int("batch_dims", 0), indices.shape[-1]
    end = first + count if isinstance(count, int) else None
    return [extent for extent in table.shape[first:end] if isinstance(extent, int)]


_INDEXING: dict[str, Callable[[ir.Node], list[int]]] = {
    "Gather": _extent_along_axis,
    "GatherElements": _extent_along_axis,
    "GatherND": _indexed_extents,
    "ScatterElements": _extent_along_axis,
    "ScatterND": _indexed_extents,
}
"""What the second input of an operator indexes."""


def _static_shape(info: TensorInfo, given: Sequence[int] | None) -> tuple[int, ...]:
    if given is not None:
        fits = len(given) == len(info.shape) and all(
            extent == dim if isinstance(dim, int) else extent > 0 for extent, dim in zip(given, info.shape, strict=True)
        )
        if not fits:
            raise InputError(f"shape {list(given)} does not fit input {info}", code="GP542")
        return tuple(given)
    shape = tuple(1 if axis == 0 and not isinstance(dim, int) else dim for axis, dim in enumerate(info.shape))
    static = tuple(dim for dim in shape if isinstance(dim, int))
    if len(static) != len(shape):
        raise InputError(f"open dimensions in input {info}, give its shape ({info.name}:1x...)", code="GP543")
    return static


def _draw(rng: np.random.Generator, info: TensorInfo, shape: tuple[int, ...], limit: int | None) -> np.ndarray:
    dtype = info.dtype
    if dtype == np.bool_:
        return np.asarray(rng.integers(0, 2, shape), np.bool_)
    if np.issubdtype(dtype, np.integer):
        return _draw_integers(rng, info, shape, limit)
    if np.issubdtype(dtype, np.floating):
        return np.asarray(rng.standard_normal(shape), dtype)
    raise InputError(f"input {info.name!r} has type {info.type}, for which no random values are drawn", code="GP544")


def _draw_integers(rng: np.random.Generator, info: TensorInfo, shape: tuple[int, ...], limit: int | None) -> np.ndarray:
    bounds = np.iinfo(info.dtype.name)
    if limit is not None:
        return np.asarray(rng.integers(0, min(limit, bounds.max + 1), shape), info.dtype)
    if info.dtype.name in _NARROW:
        return np.asarray(rng.integers(bounds.min, bounds.max + 1, shape), info.dtype)
    if "mask" in info.name and shape:
        mask = np.ones(shape, info.dtype)
        mask[..., shape[-1] - shape[-1] // 4 :] = 0
        return mask
    return np.asarray(rng.integers(0, _DEFAULT_LIMIT, shape), info.dtype)
