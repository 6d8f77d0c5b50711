import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.verification.comparison import Tolerance, compare
from graphprune.verification.computed import Computed

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


@pytest.mark.parametrize(
    ("dtype", "rtol", "scale"),
    [("float32", 1e-4, 1e-5), ("float64", 1e-4, 1e-5), ("float16", 1e-2, 1e-3), ("bfloat16", 5e-2, 1e-2)],
)
def test_default_tolerances(dtype: str, rtol: float, scale: float) -> None:
    assert DEFAULT.resolve(dtype, 8.0) == (rtol, 8.0 * scale)
    assert Tolerance(rtol=0.5).resolve(dtype, 8.0) == (0.5, 8.0 * scale)
    assert Tolerance(atol=0.5).resolve(dtype, 8.0) == (rtol, 0.5)


@pytest.mark.parametrize("at", [0, 100, -100])
@pytest.mark.parametrize("side", [1, -1])
def test_the_default_tolerance_passes_what_is_just_inside_and_nothing_beyond(at: float, side: int) -> None:
    allowed = 1e-5 * 1000 + 1e-4 * abs(at)
    reference = array(1000, at, dtype="float64")
    assert compare(reference, reference + array(0, side * allowed * 0.99, dtype="float64"), DEFAULT).reason is None
    outside = compare(reference, reference + array(0, side * allowed * 1.01, dtype="float64"), DEFAULT)
    assert (outside.mismatches, outside.compared) == (1, 1 + (at != 0))


def test_the_largest_error_is_told_in_standard_deviations() -> None:
    assert compare(array(-2, 2), array(-2, 2.5), DEFAULT).max_spread_error == 0.25
    assert compare(array(3, 3), array(3, 3), DEFAULT).max_spread_error is None
    assert compare(array(), array(), DEFAULT).max_spread_error is None


def test_what_rounding_beside_one_explains_is_neither_equal_nor_different() -> None:
    one_ulp = float(np.finfo("float32").eps)
    reference, near, far = array(1e-12, 1e-9), array(0.9 * one_ulp, 1e-9), array(1.1 * one_ulp, 1e-9)
    assert compare(reference, near, DEFAULT).mismatches == 1
    lost = compare(reference, near, DEFAULT, Computed(saturates=True))
    assert (lost.mismatches, lost.compared, lost.reason) == (0, 1, None)
    assert compare(reference, far, DEFAULT, Computed(saturates=True)).mismatches == 1
    assert compare(reference, near, Tolerance(atol=0), Computed(saturates=True)).mismatches == 1
    assert compare(reference, near, Tolerance(rtol=0), Computed(saturates=True)).mismatches == 0


def test_no_integer_is_lost_in_rounding() -> None:
    assert (
        compare(np.array([2**60]), np.array([2**60 + 1]), DEFAULT, Computed("float16", saturates=True)).mismatches == 1
    )


def test_what_is_compared_is_counted() -> None:
    assert compare(array(0, 1, np.nan, 2), array(0, 1, np.nan, 2), DEFAULT).compared == 2
    assert compare(array(0, 1, dtype="int64"), array(0, 1, dtype="int64"), DEFAULT).compared == 1
    words = np.array(["a", "b"], object)
    assert compare(words, words, DEFAULT).compared == 2


@pytest.mark.parametrize(("coarsest", "passes"), [(None, False), ("float16", True), ("bfloat16", True)])
def test_an_output_is_held_to_the_precision_it_was_computed_in(coarsest: str | None, *, passes: bool) -> None:
    found = compare(array(1, 2), array(1, 2.01), DEFAULT, Computed(coarsest))
    assert (found.reason is None) == passes


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
