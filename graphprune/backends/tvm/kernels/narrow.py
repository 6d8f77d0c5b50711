"""Values of a weight in half as many bytes, where these hold all of them exactly, and as float32 again in a kernel.

Those of float16 and bfloat16 files fit, and any others that were rounded to either. They come back bit for bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr

Narrowed = npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]

HALF_OF_FLOAT32 = 16
"""The bits of the lower half, which no bfloat16 number has."""


def narrowed(values: npt.NDArray[np.float32]) -> Narrowed:
    """Return the same numbers as the upper halves of float32 (bfloat16), as float16, or as they are, in that order."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    if lowest_zeros(bits) >= HALF_OF_FLOAT32:
        return (bits >> HALF_OF_FLOAT32).astype(np.uint16)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32).view(np.uint32), bits) else values


def lowest_zeros(bits: npt.NDArray[np.uint32]) -> int:
    """How many of the lowest bits are zero in all numbers."""
    found = int(np.bitwise_or.reduce(bits, axis=None, initial=0))
    return (found & -found).bit_length() - 1 if found else 32


def widened(values: Expr, at: Expr, width: int = 1) -> Expr:
    """`width` numbers of a buffer from `at` on, a vector, or one: as float32 where they were `narrowed`."""
    found = values[at if width == 1 else T.ramp(at, 1, width)]
    if values.dtype == "float16":
        return found.astype(_lanes("float32", width))
    if values.dtype != "uint16":
        return found
    half = tirx.const(HALF_OF_FLOAT32, "uint32")
    upper = tirx.shift_left(found.astype(_lanes("uint32", width)), half if width == 1 else tirx.Broadcast(half, width))
    return tirx.reinterpret(_lanes("float32", width), upper)


def _lanes(dtype: str, width: int) -> str:
    return dtype if width == 1 else f"{dtype}x{width}"
