"""Operands that are no data (axes, shapes, indices), drawn by their names; they are constants of the graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.random_graphs.attributes import axes

Drawing = Callable[[np.random.Generator, tuple[int, ...]], list[int] | int]
"""The operand's value, by the shape of the first operand."""


def _new_shape(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    size = int(np.prod(shape))
    lengths = [int(n) for n in shape]
    random.shuffle(lengths)
    if len(lengths) > 1 and random.random() < 0.5:
        lengths[:2] = [lengths[0] * lengths[1]]
    if random.random() < 0.3:
        lengths.insert(int(random.integers(len(lengths) + 1)), 1)
    if lengths and size and random.random() < 0.4:
        lengths[random.integers(len(lengths))] = -1
    return lengths


def _wider_shape(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    wider = [int(random.integers(1, 4)) if n == 1 else n for n in shape]
    return [int(random.integers(1, 3)), *wider] if random.random() < 0.4 else wider


def _pads(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    return [int(n) for n in random.integers(-1 if random.random() < 0.2 else 0, 3, 2 * len(shape))]


def _parts(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    length = shape[0] if shape else 1
    first = int(random.integers(0, length + 1))
    return [first, length - first]


def _each(low: int, high: int) -> Drawing:
    return lambda random, shape: [int(n) for n in random.integers(low, high + 1, len(shape))]


def _indices(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    least = min(shape, default=1)
    return [int(n) for n in random.integers(-least, max(least, 1), int(random.integers(1, 4)))]


OPERANDS: dict[str, Drawing] = {
    "Reshape.shape": _new_shape,
    "Expand.shape": _wider_shape,
    "axes": axes,
    "axis": lambda random, shape: int(random.integers(-len(shape), len(shape))) if shape else 0,
    "Unsqueeze.axes": lambda random, shape: [int(random.integers(-len(shape) - 1, len(shape) + 1))],
    "repeats": _each(1, 2),
    "Pad.pads": _pads,
    "Slice.axes": lambda random, shape: list(range(len(shape))),
    "starts": _each(-4, 2),
    "ends": _each(-1, 5),
    "steps": lambda random, shape: [int(n) for n in random.choice((1, 1, 2, -1, -2), len(shape))],
    "TopK.K": lambda random, shape: [int(random.integers(1, 3))],
    "Trilu.k": lambda random, shape: int(random.integers(-2, 3)),
    "split": _parts,
    "Gather.indices": _indices,
    "Compress.condition": lambda random, shape: [bool(n) for n in random.integers(0, 2, min(shape, default=1))],
}
"""By operator and name, or by name alone."""


def draw_operand(operator: str, name: str, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray | None:
    """The operand as an array, or None if it is data."""
    drawing = OPERANDS.get(f"{operator}.{name}") or OPERANDS.get(name)
    return None if drawing is None else np.array(drawing(random, shape), bool if name == "condition" else np.int64)
