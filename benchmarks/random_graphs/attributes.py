"""Attributes of operators, drawn by their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from benchmarks.random_graphs.elements import DTYPES, element_type

Drawing = Callable[[np.random.Generator, tuple[int, ...]], object]
"""An attribute's value, by the shape of the first operand."""


def _one_of(*choices: object) -> Drawing:
    return lambda random, shape: choices[random.integers(len(choices))]


def _axis(random: np.random.Generator, shape: tuple[int, ...]) -> int:
    return int(random.integers(-len(shape), len(shape))) if shape else 0


def axes(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    """Different axes, some counted from the end."""
    count = random.integers(1, len(shape) + 1) if shape else 0
    chosen = random.permutation(len(shape))[:count]
    return [int(axis - len(shape) * random.integers(2)) for axis in chosen]


def _lengths(low: int, high: int) -> Drawing:
    return lambda random, shape: [int(n) for n in random.integers(low, high + 1, max(len(shape) - 2, 0))]


def _pads(random: np.random.Generator, shape: tuple[int, ...]) -> list[int]:
    return [int(n) for n in random.integers(0, 2, 2 * max(len(shape) - 2, 0))]


_FLAG = _one_of(0, 1)
_NUMBER = _one_of(0.0, 0.25, 0.5, 1.0, 1.702, 2.0, -1.0)

ATTRIBUTES: dict[str, Drawing] = {
    **dict.fromkeys(
        ("keepdims", "noop_with_empty_axes", "exclusive", "reverse", "select_last_index", "largest"), _FLAG
    ),
    **dict.fromkeys(("detect_negative", "detect_positive", "upper", "transA", "transB", "count_include_pad"), _FLAG),
    **dict.fromkeys(("ceil_mode", "allowzero", "align_corners"), _FLAG),
    **dict.fromkeys(("alpha", "beta", "gamma", "lambd", "bias"), _NUMBER),
    "fmod": _one_of(0, 1, 1),
    "axis": _axis,
    "axes": axes,
    "perm": lambda random, shape: [int(axis) for axis in random.permutation(len(shape))],
    "to": lambda random, shape: element_type(list(DTYPES.values())[random.integers(len(DTYPES))]),
    "epsilon": _one_of(1e-5, 1e-3, 0.1),
    "direction": _one_of("LEFT", "RIGHT"),
    "approximate": _one_of("none", "tanh"),
    "p": _one_of(1, 2),
    "blocksize": _one_of(1, 2),
    "kernel_shape": _lengths(1, 3),
    "strides": _lengths(1, 2),
    "dilations": _lengths(1, 2),
    "pads": _pads,
    "group": _one_of(1, 1, 2),
    "auto_pad": _one_of("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "mode": _one_of("constant", "edge", "reflect", "DCR", "CRD"),
    "reduction": _one_of("none", "add", "mul", "max", "min"),
    "start": _one_of(0, 1, -1),
    "end": _one_of(1, 2, -1),
    "size": _one_of(1, 3),
    "LRN.bias": _one_of(1.0, 2.0),
    "Celu.alpha": _one_of(0.25, 1.0, -0.5),
}
"""By operator and name, or by name alone; others stay as they are by default."""

GIVEN = 0.6
"""The share of attributes that a node has, of those it need not have."""


def draw_attributes(
    schema: onnx.defs.OpSchema, random: np.random.Generator, shape: tuple[int, ...]
) -> dict[str, object]:
    """Attributes for a node whose first operand has this shape."""
    drawn = {}
    for name, attribute in sorted(schema.attributes.items()):
        drawing = ATTRIBUTES.get(f"{schema.name}.{name}") or ATTRIBUTES.get(name)
        if drawing and (attribute.required or random.random() < GIVEN):
            drawn[name] = drawing(random, shape)
    if drawn.get("auto_pad", "NOTSET") != "NOTSET":
        drawn.pop("pads", None)
    return {name: value for name, value in drawn.items() if value != []}  # which has no type
