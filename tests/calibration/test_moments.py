"""Sums over what layers multiply."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.moments import gather, gather_drift
from graphprune.errors import InputError

RNG = np.random.default_rng()


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("products", [True, False])
def test_moments_are_those_of_all_rows(*, products: bool) -> None:
    parts = [RNG.standard_normal((rows, 6)).astype(np.float32) + 1 for rows in (5, 9000, 1)]
    (moments,) = gather([[part] for part in parts], "w", products=products)
    rows = np.concatenate(parts).astype(np.float64)
    assert moments.rows == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.sums, rows.sum(axis=0) / 3, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, rows.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(moments.norms, np.sqrt(np.square(rows).mean(axis=0)), rtol=1e-12)
    if products:
        expected = {False: rows.T @ rows / len(rows), True: np.cov(rows.T, bias=True)}
        for centred, second in expected.items():
            np.testing.assert_allclose(moments.second(centred=centred), second, rtol=1e-9, atol=1e-12)
            damped = second + 0.01 * np.diag(second).mean() * np.eye(6)
            factor = moments.factor(centred=centred)
            np.testing.assert_allclose(factor.T @ factor, np.linalg.inv(damped), rtol=1e-6)


def test_one_huge_row_hides_no_other() -> None:
    rows = np.ones((100_001, 2), np.float32)
    rows[0] = 2e4
    (moments,) = gather([[rows]], "w", products=True)
    assert moments.products is not None
    np.testing.assert_array_equal(moments.products, 4e8 + 100_000)


def test_a_variance_is_never_negative() -> None:
    (moments,) = gather([[np.full((3, 1), 0.1)]], "w", products=False)
    assert moments.squares[0] / 3 < np.square(moments.mean[0])  # rounded
    assert moments.variance.tolist() == [0]


def test_groups_have_their_own() -> None:
    groups = [np.full((2, 3), number, np.float32) for number in range(4)]
    assert [each.mean.tolist() for each in gather([groups, groups], "w", products=False)] == [[n] * 3 for n in range(4)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_layer_that_sees_no_number_is_named(bad: float) -> None:
    samples = [[np.ones((2, 2), np.float32)], [np.array([[1, bad]], np.float32)]]
    with pytest.raises(InputError, match=r"weight 'w': its input is NaN or infinite on sample 1 \[GP581\]"):
        gather(samples, "weight 'w'", products=True)


def test_drifts_are_those_of_all_rows() -> None:
    now = [RNG.standard_normal((rows, 5)) for rows in (5000, 7)]
    dense = [each + 0.1 * RNG.standard_normal(each.shape) + 0.3 for each in now]
    (moments,) = gather([[each] for each in now], "w", products=True)
    (drift,) = gather_drift([[each] for each in dense], [[each] for each in now])
    x, difference = np.concatenate(now), np.concatenate(dense) - np.concatenate(now)
    np.testing.assert_allclose(drift.mean(moments), difference.mean(axis=0))
    expected = difference.T @ x / len(x)
    np.testing.assert_allclose(drift.second(moments, centred=False), expected, atol=1e-12)
    centred = expected - np.outer(difference.mean(axis=0), x.mean(axis=0))
    np.testing.assert_allclose(drift.second(moments, centred=True), centred, atol=1e-12)
    kept = [np.concatenate(each) for each in (drift.some, moments.some)]
    assert {tuple(row) for row in kept[0] - kept[1]} <= {tuple(row) for row in difference}
