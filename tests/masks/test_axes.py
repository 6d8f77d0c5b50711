"""The row view of weights: both ways, for NumPy and torch, whatever the order of axes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from graphprune.masks.axes import WeightAxes

SHAPE = (2, 3, 4, 5)


def numbers(*shape: int) -> npt.NDArray[Any]:
    return np.arange(math.prod(shape)).reshape(shape)


@pytest.mark.parametrize(("output", "axis"), list(itertools.permutations(range(4), 2)))
def test_rows_and_back(output: int, axis: int) -> None:
    axes = WeightAxes(output, axis)
    array = numbers(*SHAPE)
    rows = axes.rows(array)
    assert rows.shape == axes.rows_shape(SHAPE) == (SHAPE[output], 120 // (SHAPE[output] * SHAPE[axis]), SHAPE[axis])
    np.testing.assert_array_equal(axes.restore(rows, SHAPE), array)
    np.testing.assert_array_equal(rows[1, 0], np.moveaxis(array, (output, axis), (0, -1))[1, 0, 0])


def test_torch_agrees_with_numpy() -> None:
    axes = WeightAxes()
    array = numbers(*SHAPE)
    rows = axes.rows(torch.from_numpy(array))
    np.testing.assert_array_equal(rows.numpy(), axes.rows(array))
    np.testing.assert_array_equal(axes.restore(rows, SHAPE).numpy(), array)


def test_a_matrix_has_one_position() -> None:
    array = numbers(2, 3)
    assert WeightAxes().rows(array).shape == (2, 1, 3)
    np.testing.assert_array_equal(WeightAxes(1, 0).rows(array)[:, 0], array.T)
