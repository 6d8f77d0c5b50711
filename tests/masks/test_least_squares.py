"""The weights that stay, at the optimum, beside a solver of each row by itself."""

import numpy as np
import pytest

from graphprune.masks.least_squares import solve_kept


@pytest.mark.parametrize("seed", range(3))
def test_each_row_is_at_its_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((200, 48)) @ rng.standard_normal((48, 48))
    moments = inputs.T @ inputs / 200 + 1e-2 * np.eye(48)
    target, keep = rng.standard_normal((20, 48)), rng.random((20, 48)) < 0.4
    keep[3] = False  # a row of which nothing stays
    found = solve_kept(np.where(keep, target, 0), target, moments, keep)
    assert not found[~keep].any()
    for row, wanted, kept in zip(found, target, keep, strict=True):
        best = np.linalg.solve(moments[np.ix_(kept, kept)], (moments @ wanted)[kept])
        np.testing.assert_allclose(row[kept], best, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_the_gradient_is_zero() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((500, 64)) * np.logspace(-2, 2, 64)  # some inputs are far larger than others
    moments = inputs.T @ inputs / 500 + 1e-6 * np.eye(64)
    target, keep = rng.standard_normal((8, 64)), rng.random((8, 64)) < 0.5
    found = solve_kept(np.where(keep, target, 0), target, moments, keep)
    gradient = ((target - found) @ moments)[keep]
    assert np.abs(gradient).max() < 1e-5 * np.abs(target @ moments).max()


def test_all_that_is_kept_stays_as_it_is() -> None:
    rng = np.random.default_rng(1)
    target, moments = rng.standard_normal((4, 8)), np.eye(8)
    np.testing.assert_allclose(solve_kept(np.zeros((4, 8)), target, moments, np.ones((4, 8), bool)), target)
