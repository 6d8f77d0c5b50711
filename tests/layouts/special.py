"""Matrices with every kind of special value."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

SPECIAL = [0.0, 0.0, 0.0, -0.0, 1e-45, -1e-40, float("nan"), float("inf"), -float("inf")]


@st.composite
def sparse_matrices(draw: st.DrawFn, rows: int = 1, columns: int = 1) -> npt.NDArray[Any]:
    """Float matrices, zero-size ones included, with many zeros; their shape is a multiple of `rows` by `columns`."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9))
    wide = (shape[0] * rows, shape[1] * columns)
    return draw(hnp.arrays(np.float32, wide, elements=st.sampled_from(SPECIAL) | st.floats(width=32), fill=st.just(0)))
