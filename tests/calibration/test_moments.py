"""Sums over what layers multiply."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.moments import InputMoments, gather, output_error
from graphprune.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("products", [True, False])
def test_moments_are_those_of_all_rows(*, products: bool) -> None:
    parts = [RNG.standard_normal((rows, 6)).astype(np.float32) + 1 for rows in (5, 9000, 1)]
    (moments,) = gather([[part] for part in parts], "w", products=products)
    rows = np.concatenate(parts).astype(np.float64)
    assert moments.rows == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.norms, np.sqrt(np.square(rows).mean(axis=0)), rtol=1e-12)
    if products:
        np.testing.assert_allclose(moments.second, rows.T @ rows / len(rows), rtol=1e-12)
        damped = moments.second + 0.01 * np.diag(moments.second).mean() * np.eye(6)
        np.testing.assert_allclose(moments.factor.T @ moments.factor, np.linalg.inv(damped), rtol=1e-8)


def test_one_huge_row_hides_no_other() -> None:
    rows = np.ones((100_001, 2), np.float32)
    rows[0] = 2e4
    (moments,) = gather([[rows]], "w", products=True)
    assert moments.products is not None
    np.testing.assert_array_equal(moments.products, 4e8 + 100_000)


def test_groups_have_their_own() -> None:
    groups = [np.full((2, 3), number, np.float32) for number in range(4)]
    assert [each.mean.tolist() for each in gather([groups, groups], "w", products=False)] == [[n] * 3 for n in range(4)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_layer_that_sees_no_number_is_named(bad: float) -> None:
    samples = [[np.ones((2, 2), np.float32)], [np.array([[1, bad]], np.float32)]]
    with pytest.raises(InputError, match=r"weight 'w': its input is NaN or infinite on sample 1 \[GP581\]"):
        gather(samples, "weight 'w'", products=True)


def test_the_error_is_that_of_the_outputs() -> None:
    moments, rows = InputMoments(4, products=False), RNG.standard_normal((8, 4))
    moments.add(rows)
    exact, other, shift = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4)), RNG.standard_normal(3)
    wrong, whole = output_error(moments, exact, other, shift)
    assert wrong == pytest.approx(np.square(rows @ other.T + shift - rows @ exact.T).sum())
    assert whole == pytest.approx(np.square(rows @ exact.T).sum())
