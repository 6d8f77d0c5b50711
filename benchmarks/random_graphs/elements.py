"""Element types, and arrays of them: ordinary numbers, some with NaN, infinities and extremes between."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

DTYPES: dict[str, np.dtype] = {
    **{f"tensor({name})": np.dtype(name) for name in ("float16", "bool")},
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(bfloat16)": BFLOAT16,
}
"""By what schemas call them."""

STRANGE = 0.15
"""The share of arrays that have special values."""


def is_float(dtype: np.dtype) -> bool:
    """Whether NaN is one of its values."""
    return dtype.kind == "f" or dtype == BFLOAT16


def _limits(dtype: np.dtype) -> Any:  # noqa: ANN401 - of ml_dtypes or NumPy, which are alike
    finfo: Any = ml_dtypes.finfo
    return finfo(dtype)


def resolution(dtype: np.dtype) -> float:
    """The distance of 1 from the next larger number."""
    return float(_limits(dtype).eps)


def smallest(dtype: np.dtype) -> float:
    """The smallest number above zero."""
    return float(_limits(dtype).smallest_subnormal)


def largest(dtype: np.dtype) -> float:
    """The largest finite number."""
    return float(_limits(dtype).max)


def element_type(dtype: np.dtype) -> int:
    """The number that onnx has for it."""
    return onnx.helper.np_dtype_to_tensor_dtype(dtype)


def draw(random: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array; some hold a few special values."""
    strange = random.random() < STRANGE
    if dtype == np.bool_:
        return random.random(shape) < 0.5
    if not is_float(dtype):
        return _integers(random, dtype, shape, strange=strange)
    array: np.ndarray = np.asarray(random.standard_normal(shape) * random.choice((0.1, 1.0, 1.0, 1.0, 10.0)))
    if random.random() < 0.2:
        array = np.round(array * 2) / 2  # ties, and zeros
    if strange:
        array = np.where(random.random(shape) < 0.2, random.choice(_special_floats(dtype), shape), array)
    return array.astype(np.float32).astype(dtype) if dtype != np.float64 else array


def _special_floats(dtype: np.dtype) -> np.ndarray:
    limits = _limits(dtype)
    finite = [0.0, 1.0, float(limits.max), float(limits.smallest_normal), 88.0]
    return np.array([np.nan, np.inf, -np.inf, *finite, *(-number for number in finite)])


def _integers(random: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...], *, strange: bool) -> np.ndarray:
    limits = np.iinfo(dtype)
    if strange:
        ends = np.array([limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1], dtype)
        return random.choice(ends, shape).astype(dtype)
    return random.integers(max(limits.min, -9), 10, shape).astype(dtype)
