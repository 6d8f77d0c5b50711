"""Seeded random inputs that a model accepts: token ids stay inside the table that they index."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.errors import InputError
from graphprune_runtime.interface import TensorInfo

# Operators whose outputs hold values of their first input (of any, for Concat), moved or repeated but not changed.
_MOVES = frozenset(
    "Cast Concat Expand Flatten Identity Reshape Slice Split Squeeze Tile Transpose Unsqueeze".split()  # noqa: SIM905
)
_DEFAULT_LIMIT = 2
_NARROW = ("int8", "uint8")


def random_feed(
    inputs: ir.Model | Iterable[TensorInfo],
    seed: int = 0,
    shapes: Mapping[str, Sequence[int]] | None = None,
    limits: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Draw one value for every input.

    Floats are standard normal, booleans fair coins, 8-bit integers take their whole range. Wider integers that index a
    table (`Gather`) are valid rows of it; one with `mask` in its name is one but for its last quarter, a padding
    mask; any other is zero or one.

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
        feed[info.name] = _draw(rng, info, shape, (limits or {}).get(info.name, _DEFAULT_LIMIT))
    return feed


def index_limits(model: ir.Model) -> dict[str, int]:
    """The rows of the smallest table that each integer input indexes, for those that index one."""
    limits = {}
    for value in model.graph.inputs:
        rows = _table_rows(value)
        if value.name and rows:
            limits[value.name] = min(rows)
    return limits


def _table_rows(value: ir.Value) -> list[int]:
    """Rows of every table that `value`, or a copy of its values, indexes."""
    rows = []
    pending, seen = [value], {value}
    while pending:
        for node, position in pending.pop().uses():
            if node.op_type == "Gather" and position == 1:
                rows.extend(_gathered_extent(node))
            elif node.op_type == "Concat" or (position == 0 and node.op_type in _MOVES):
                pending.extend(output for output in node.outputs if output not in seen)
                seen.update(node.outputs)
    return rows


def _gathered_extent(node: ir.Node) -> list[int]:
    table, axis = node.inputs[0], node.attributes.get_int("axis", 0)
    if table is None or table.shape is None or not -len(table.shape) <= axis < len(table.shape):
        return []
    extent = table.shape[axis]
    return [extent] if isinstance(extent, int) else []


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


def _draw(rng: np.random.Generator, info: TensorInfo, shape: tuple[int, ...], limit: int) -> np.ndarray:
    dtype = info.dtype
    if dtype == np.bool_:
        return np.asarray(rng.integers(0, 2, shape), np.bool_)
    if np.issubdtype(dtype, np.integer):
        return _draw_integers(rng, info, shape, limit)
    if np.issubdtype(dtype, np.floating):
        return np.asarray(rng.standard_normal(shape), dtype)
    raise InputError(f"input {info.name!r} has type {info.type}, for which no random values are drawn", code="GP544")


def _draw_integers(rng: np.random.Generator, info: TensorInfo, shape: tuple[int, ...], limit: int) -> np.ndarray:
    if info.dtype.name in _NARROW:
        bounds = np.iinfo(info.dtype.name)
        return np.asarray(rng.integers(bounds.min, bounds.max + 1, shape), info.dtype)
    if "mask" in info.name and shape:
        mask = np.ones(shape, info.dtype)
        mask[..., shape[-1] - shape[-1] // 4 :] = 0
        return mask
    return np.asarray(rng.integers(0, limit, shape), info.dtype)
