"""Run-time values: tensors, and shapes as plain integers.

What a graph computes from shapes stays an integer (a rank-0 value) or a tuple of integers (rank 1), so that open
dimensions work when the module is traced or exported. Where such a value meets a tensor, it becomes one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch

Value = torch.Tensor | int | tuple[int, ...]

TYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.uint32,
    13: torch.uint64,
    14: torch.complex64,
    15: torch.complex128,
    16: torch.bfloat16,
}
"""ONNX's number of each element type that torch computes with."""


def is_shape(value: object) -> TypeGuard[int | tuple[int, ...]]:
    """Return whether `value` is an integer or a tuple of integers, symbolic ones included."""
    return isinstance(value, int | torch.SymInt | tuple)


def tensor(value: Value, device: torch.device | None = None) -> torch.Tensor:
    """Return `value` as a tensor; shapes are int64."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(list(value) if isinstance(value, tuple) else value, dtype=torch.int64, device=device)


def integers(value: Value) -> tuple[int, ...]:
    """Return the elements of a value of rank 0 or 1 as integers."""
    if isinstance(value, torch.Tensor):
        return tuple(int(item) for item in value.flatten().tolist())
    return value if isinstance(value, tuple) else (value,)


def integer(value: Value) -> int:
    """Return the only element."""
    return integers(value)[0]


def elementwise(on_shapes: Callable[..., Any], on_tensors: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of broadcast values: `on_tensors` where one is a tensor, else `on_shapes` one by one."""

    def apply(*values: Value) -> Value:
        if all(is_shape(value) for value in values):
            return _on_shapes(on_shapes, values)
        device = next(value.device for value in values if isinstance(value, torch.Tensor))
        result: torch.Tensor = on_tensors(*(tensor(value, device) for value in values))
        return result

    return apply


def typed(value: Value, dtype: torch.dtype, device: torch.device | None = None) -> torch.Tensor:
    """Return `value` as a tensor; what a graph computes of shapes becomes one of `dtype`."""
    return value if isinstance(value, torch.Tensor) else tensor(value, device).to(dtype)


def on_tensors(function: Callable[..., Any], dtypes: Sequence[torch.dtype | None]) -> Callable[..., Any]:
    """Return `function` as one of values: those that have one of `dtypes` become tensors of it."""

    def apply(*values: Value | None, **attributes: object) -> Any:  # noqa: ANN401 - whatever the function returns
        device = next((value.device for value in values if isinstance(value, torch.Tensor)), None)
        pairs = zip(values, dtypes, strict=False)
        given = [value if value is None or dtype is None else typed(value, dtype, device) for value, dtype in pairs]
        return function(*given, **attributes)

    return apply


def takes_tensors(function: Callable[..., Any], count: int) -> list[bool]:
    """Return for each of `count` arguments whether it is to be a tensor: where the signature names no value."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # one of torch's own
        return [True] * count
    kinds = [str(parameter.annotation) for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    return ["Value" not in kinds[min(index, len(kinds) - 1)] for index in range(count)]


def _on_shapes(function: Callable[..., Any], values: Sequence[Any]) -> Value:
    lengths = [len(value) for value in values if isinstance(value, tuple)]
    if not lengths:
        single: int = _plain(function(*values))
        return single
    length = 0 if 0 in lengths else max(lengths)
    wide = [
        (value if isinstance(value, tuple) and len(value) == length else _repeated(value, length)) for value in values
    ]
    return tuple(_plain(function(*items)) for items in zip(*wide, strict=True))


def _repeated(value: Any, length: int) -> tuple[int, ...]:  # noqa: ANN401 - an integer, or a tuple of one
    return (value[0] if isinstance(value, tuple) else value,) * length


def _plain(value: Any) -> Any:  # noqa: ANN401 - an integer, or a truth value that becomes one
    return int(value) if isinstance(value, bool) else value
