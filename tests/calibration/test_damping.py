"""Which damping samples that are held back ask for."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.damping import CHOICES, choose_damping
from graphprune.calibration.moments import HELD, DriftMoments, InputMoments, gather, gather_drift
from graphprune.masks.second_order import DAMPING

RNG = np.random.default_rng(5)
COLUMNS = 12


def seen(samples: int, rows: int, noise: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs as they are, and as they were: what has changed is a linear function of the first, and noise."""
    change = RNG.standard_normal((COLUMNS, COLUMNS)) * 0.2
    now = [RNG.standard_normal((rows, COLUMNS)) + 1 for _ in range(samples)]
    return now, [array + array @ change + noise * RNG.standard_normal(array.shape) for array in now]


def summed(now: list[np.ndarray], before: list[np.ndarray]) -> tuple[InputMoments, DriftMoments]:
    (moments,) = gather(([array] for array in now), "here", products=True, held=True)
    (drift,) = gather_drift(([array] for array in before), ([array] for array in now), held=True)
    return moments, drift


def best(exact: np.ndarray, now: list[np.ndarray], before: list[np.ndarray], *, centred: bool) -> float:
    """By hand: fit on three of four samples, compare on the others, with NumPy's sums of squares."""
    parts = [np.concatenate([side[i] for i in range(len(side)) if (i % HELD == HELD - 1) == held])
             for held in (False, True) for side in (now, before)]  # fmt: skip
    if centred:
        parts = [part - part.mean(axis=0) for part in parts]
    x, y, x_held, y_held = parts
    second = x.T @ x / len(x)
    errors = []
    for damping in CHOICES:
        damped = second + damping * np.diagonal(second).mean() * np.eye(COLUMNS)
        found = exact + exact @ ((y - x).T @ x / len(x)) @ np.linalg.inv(damped)
        errors.append(float(np.square(x_held @ found.T - y_held @ exact.T).sum()))
    return CHOICES[int(np.argmin(errors))]


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("samples", "rows", "noise"), [(40, 50, 0.1), (16, 1, 1), (8, 1, 3), (24, 2, 0.5)])
def test_it_is_the_best_on_what_is_held_back(samples: int, rows: int, noise: float, *, centred: bool) -> None:
    exact = RNG.standard_normal((6, COLUMNS))
    now, before = seen(samples, rows, noise)
    found = choose_damping(exact, *summed(now, before), centred=centred)
    assert found == best(exact, now, before, centred=centred)


def test_few_samples_are_damped_more() -> None:
    exact = RNG.standard_normal((6, COLUMNS))
    many = choose_damping(exact, *summed(*seen(40, 100, 0.1)), centred=True)
    few = choose_damping(exact, *summed(*seen(8, 1, 3)), centred=True)
    assert (many, few > 0.1) == (DAMPING, True)


def test_without_a_drift_or_samples_that_are_held_back_it_is_that_of_the_paper() -> None:
    exact = RNG.standard_normal((6, COLUMNS))
    moments, _ = summed(*seen(8, 1, 3))
    assert choose_damping(exact, moments, None, centred=True) == DAMPING
    assert choose_damping(exact, *summed(*seen(HELD - 1, 4, 3)), centred=True) == DAMPING


def test_sums_without_those_of_some_samples() -> None:
    now, before = seen(8, 5, 1)
    moments, drift = summed(now, before)
    assert moments.held is not None
    assert drift.held is not None
    rest = [[side[i] for i in range(8) if i % HELD != HELD - 1] for side in (now, before)]
    expected, expected_drift = summed(*rest)
    left, left_drift = moments.without(moments.held), drift.without(drift.held)
    assert left.rows == expected.rows == 30
    for name in ("total", "products", "squares"):
        np.testing.assert_allclose(getattr(left, name), getattr(expected, name), rtol=1e-9, atol=1e-9)
    for name in ("total", "products"):
        np.testing.assert_allclose(getattr(left_drift, name), getattr(expected_drift, name), rtol=1e-9, atol=1e-9)
