"""The differences between two arrays that should be equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphprune.errors import InputError
from graphprune.verification.computed import Computed
from graphprune.verification.spread import Ties

# What reassociating sums costs in a network of a hundred layers, by the bits of the mantissa: relative to an element,
# and to the largest element of its output. A fold on its own is held to less, see `passes.base.Equivalence`.
_DEFAULTS = {"float16": (1e-2, 1e-3), "bfloat16": (5e-2, 1e-2)}
_SINGLE = (1e-4, 1e-5)
_EXACTLY = Computed()


@dataclass(frozen=True)
class Tolerance:
    """An element passes if its error is at most `atol + rtol * |reference|`.

    `None` stands for the default of the element type: for float32 and float64 `rtol` is 1e-4 and `atol` is 1e-5 of the
    largest reference value of the output. Integers, booleans and strings must be equal.
    """

    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no error satisfies.

        Raises:
            InputError: a tolerance is negative, NaN or infinite.
        """
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value}, expected a finite number of at least 0", code="GP562")

    def resolve(self, type_name: str, largest: float) -> tuple[float, float]:
        """The relative and absolute tolerance for an output whose largest reference magnitude is `largest`."""
        rtol, scale = _DEFAULTS.get(type_name, _SINGLE)
        return (
            rtol if self.rtol is None else self.rtol,
            scale * largest if self.atol is None else self.atol,
        )


@dataclass(frozen=True)
class Difference:
    """What one output differs by, over the elements that are finite on both sides.

    Attributes:
        max_abs_error: The largest error.
        max_rel_error: The largest, relative to its element, of the elements above the absolute tolerance.
        max_spread_error: The largest, in standard deviations of the reference's elements; None where these are equal.
        max_abs_reference: The largest magnitude in the reference.
        mismatches: How many elements are out of tolerance.
        compared: How many elements were compared that are neither zero nor lost in rounding.
        reason: What is wrong; None where all elements are within tolerance, or ties explain those that are not.
        ties: What ties of rounding to integers explain; None where the output was not held to them.
    """

    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    max_spread_error: float | None = None
    max_abs_reference: float = 0.0
    mismatches: int = 0
    compared: int = 0
    reason: str | None = None
    ties: Ties | None = None


def compare(
    reference: np.ndarray, candidate: np.ndarray, tolerance: Tolerance, computed: Computed = _EXACTLY
) -> Difference:
    """Compare two arrays: shapes, element types, NaN and infinities in the same places, then the numbers.

    Args:
        reference: What is right.
        candidate: What is checked.
        tolerance: Which errors pass.
        computed: How the reference was computed: its precision, and what is lost in rounding.
    """
    if candidate.dtype != reference.dtype:
        return Difference(mismatches=reference.size, reason=f"has dtype {candidate.dtype}, expected {reference.dtype}")
    if candidate.shape != reference.shape:
        reason = f"has shape {list(candidate.shape)}, expected {list(reference.shape)}"
        return Difference(mismatches=reference.size, reason=reason)
    if reference.dtype == object:
        return _compare_objects(reference, candidate)
    return _compare_numbers(reference, candidate, tolerance, computed)


def _compare_objects(reference: np.ndarray, candidate: np.ndarray) -> Difference:
    unequal = int(np.count_nonzero(reference != candidate))
    reason = f"differs in {unequal} of {reference.size} elements" if unequal else None
    return Difference(mismatches=unequal, compared=reference.size, reason=reason)


def _compare_numbers(
    reference: np.ndarray, candidate: np.ndarray, tolerance: Tolerance, computed: Computed
) -> Difference:
    is_exact = reference.dtype.kind in "iub"
    expected, actual = reference.astype(np.float64), candidate.astype(np.float64)
    # Compared as they are: beyond 2**53 a float64 does not tell integers apart.
    equal = (reference == candidate) | (np.isnan(expected) & np.isnan(actual))
    finite = np.isfinite(expected) & np.isfinite(actual)
    size, error = np.abs(expected[finite]), np.abs(actual[finite] - expected[finite])
    largest = float(size.max(initial=0.0))
    rtol, atol = (0.0, 0.0) if is_exact else tolerance.resolve(computed.type_name(reference.dtype), largest)
    outside = ~equal[finite] if is_exact else error > atol + rtol * size
    lost = outside & (error < _floor(reference, tolerance, computed))
    misplaced = int(np.count_nonzero(~finite & ~equal))
    mismatches = int(np.count_nonzero(outside & ~lost)) + misplaced
    worst, spread = float(error.max(initial=0.0)), _spread(expected[finite])
    return Difference(
        max_abs_error=worst,
        max_rel_error=float((error[size > atol] / size[size > atol]).max(initial=0.0)),
        max_spread_error=worst / spread if spread else None,
        max_abs_reference=largest,
        mismatches=mismatches,
        compared=int(np.count_nonzero((size > 0) & ~lost)),
        reason=_reason(mismatches, misplaced, reference.size, f"{worst:.3g} (reference up to {largest:.3g})"),
    )


def _floor(reference: np.ndarray, tolerance: Tolerance, computed: Computed) -> float:
    """The error from which on rounding explains nothing; 0 where integers or a given tolerance are to be met."""
    return 0.0 if reference.dtype.kind in "iub" or tolerance.atol is not None else computed.floor(reference.dtype)


def _spread(values: np.ndarray) -> float:
    return float(values.std()) if values.size and np.ptp(values) else 0.0


def _reason(mismatches: int, misplaced: int, size: int, worst: str) -> str | None:
    if not mismatches:
        return None
    text = f"differs in {mismatches} of {size} elements, by at most {worst}"
    return f"{text}; {misplaced} of them NaN or infinite on one side only" if misplaced else text
