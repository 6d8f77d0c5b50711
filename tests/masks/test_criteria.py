"""Criteria: text form, values and refusals."""

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.criteria import CRITERIA, SPARSEGPT, WANDA, ByInputs, Magnitude, WeightValues, parse_criterion


def test_text_form_goes_both_ways() -> None:
    assert parse_criterion(Magnitude().name) == Magnitude()
    assert [parse_criterion(name).name for name in CRITERIA] == list(CRITERIA) == ["magnitude", "wanda", "sparsegpt"]


@pytest.mark.parametrize("criterion", [WANDA, SPARSEGPT])
def test_inputs_count_by_their_scale(criterion: ByInputs) -> None:
    weight = np.array([[1, -2], [3, 4]], np.float16)
    scores = criterion.score(WeightValues("w", weight, np.array([[10.0, 0.5]])))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.array([[10, 1], [30, 2]], np.float32))


@pytest.mark.parametrize("criterion", [WANDA, SPARSEGPT])
def test_a_criterion_that_goes_by_samples_needs_them(criterion: ByInputs) -> None:
    assert criterion.needs_samples
    with pytest.raises(RecipeError, match=r"'\w+' needs samples for weight 'w': give --calibration DATA.* \[GP306\]"):
        criterion.score(WeightValues("w", np.ones((2, 2), np.float32)))


def test_scopes_are_those_of_the_papers() -> None:
    assert [CRITERIA[name].scope for name in ("magnitude", "wanda", "sparsegpt")] == ["layer", "row", "layer"]


def test_an_unknown_criterion_is_named() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown criterion 'size', expected 'magnitude' or 'wanda' or 'sparsegpt' \[GP327\]"
    ):
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
