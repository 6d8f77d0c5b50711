import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.verification.comparison import Tolerance, compare

DEFAULT = Tolerance()


def array(*values: float, dtype: str = "float32") -> np.ndarray:
    return np.array(values, dtype)


def test_equal_arrays_have_no_reason() -> None:
    difference = compare(array(1, -2, 0), array(1, -2, 0), DEFAULT)
    assert (difference.reason, difference.max_abs_error, difference.max_abs_reference) == (None, 0.0, 2.0)


def test_errors_are_absolute_and_relative() -> None:
    difference = compare(array(1, 100), array(1.5, 101), Tolerance(rtol=1, atol=0))
    assert difference.reason is None
    assert difference.max_abs_error == 1.0
    assert difference.max_rel_error == 0.5


def test_the_default_absolute_tolerance_follows_the_largest_value() -> None:
    assert compare(array(1000, 0), array(1000, 0.009), DEFAULT).reason is None
    assert compare(array(1, 0), array(1, 0.009), DEFAULT).reason is not None


def test_a_given_absolute_tolerance_is_absolute() -> None:
    assert compare(array(1000, 0), array(1000, 0.009), Tolerance(atol=1e-3)).mismatches == 1


def test_half_precision_is_held_to_its_own_mantissa() -> None:
    one_step = np.nextafter(np.float16(1), np.float16(2))
    assert compare(array(1, dtype="float16"), np.array([one_step]), DEFAULT).reason is None
    assert compare(array(1, dtype="float16"), array(1.1, dtype="float16"), DEFAULT).reason is not None


def test_relative_error_ignores_what_is_below_the_absolute_tolerance() -> None:
    difference = compare(array(1000, 1e-9), array(1000, 2e-9), DEFAULT)
    assert difference.max_rel_error == 0.0


def test_nan_and_infinity_match_in_the_same_place() -> None:
    values = array(np.nan, np.inf, -np.inf, 1)
    assert compare(values, values.copy(), DEFAULT).reason is None


@pytest.mark.parametrize(
    ("expected", "actual"), [(1, np.nan), (np.nan, 1), (1, np.inf), (np.inf, -np.inf), (np.inf, 1)]
)
def test_nan_and_infinity_elsewhere_do_not(expected: float, actual: float) -> None:
    difference = compare(array(1, expected), array(1, actual), Tolerance(rtol=10, atol=1e30))
    assert difference.mismatches == 1
    assert "1 of them NaN or infinite on one side only" in str(difference.reason)


def test_a_reference_of_zeros_must_be_met_exactly() -> None:
    assert compare(array(0, 0), array(0, 1e-30), DEFAULT).mismatches == 1


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_must_be_equal_whatever_the_tolerance(dtype: str) -> None:
    difference = compare(array(1, 1, dtype=dtype), array(1, 0, dtype=dtype), Tolerance(rtol=10, atol=10))
    assert difference.mismatches == 1


def test_integers_beyond_the_mantissa_of_a_double_are_told_apart() -> None:
    assert compare(np.array([2**60]), np.array([2**60 + 1]), DEFAULT).mismatches == 1


def test_text_must_be_equal() -> None:
    words = np.array(["a", "b"], object)
    assert compare(words, words.copy(), DEFAULT).reason is None
    assert compare(words, np.array(["a", "c"], object), DEFAULT).reason == "differs in 1 of 2 elements"


def test_shapes_and_types_must_agree() -> None:
    assert compare(array(1, 2), array(1), DEFAULT).reason == "has shape [1], expected [2]"
    assert compare(array(1, 2), array(1, 2, dtype="float64"), DEFAULT).reason == "has dtype float64, expected float32"


def test_empty_arrays_compare() -> None:
    assert compare(array(), array(), DEFAULT).reason is None


@pytest.mark.parametrize("options", [{"rtol": -1.0}, {"atol": float("nan")}, {"rtol": float("inf")}])
def test_impossible_tolerances_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"[ra]tol is .*, expected a finite number of at least 0 \[GP562\]"):
        Tolerance(**options)
