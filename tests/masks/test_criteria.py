"""Criteria: text form, values and refusals."""

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.criteria import Magnitude, WeightValues, parse_criterion


def test_text_form_goes_both_ways() -> None:
    assert parse_criterion(Magnitude().name) == Magnitude()


def test_an_unknown_criterion_is_named() -> None:
    with pytest.raises(RecipeError, match=r"unknown criterion 'size', expected 'magnitude' \[GP327\]"):
        parse_criterion("size")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_magnitude_is_the_absolute_value_in_float32(dtype: npt.DTypeLike) -> None:
    scores = Magnitude().score(WeightValues("w", np.array([-2, 0.5, -0.0], dtype)))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.array([2, 0.5, 0], np.float32))


def test_an_empty_weight_has_no_scores() -> None:
    assert Magnitude().score(WeightValues("w", np.zeros((0, 3), np.float32))).size == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(bad: float) -> None:
    with pytest.raises(RecipeError, match=r"weight 'layer.w' holds NaN or an infinity .* \[GP323\]"):
        Magnitude().score(WeightValues("layer.w", np.array([1, bad], np.float32)))
