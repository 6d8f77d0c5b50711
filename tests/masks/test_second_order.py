"""Pruning by second order, beside a plain transcription of the paper's algorithm."""

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.errors import InputError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Block, Pattern, Unstructured
from graphprune.masks.second_order import inverse_factor, prune_by_second_order

Floats = npt.NDArray[np.float64]

ROWS = WeightAxes(0, 2)


def layer(outputs: int, positions: int, inputs: int, seed: int = 0) -> tuple[Floats, Floats]:
    """A weight [outputs, positions, inputs], and the second moments of inputs that depend on each other."""
    rng = np.random.default_rng(seed)
    columns = positions * inputs
    samples = rng.standard_normal((4 * columns, columns)) @ rng.standard_normal((columns, columns))
    return rng.standard_normal((outputs, positions, inputs)), samples.T @ samples / len(samples)


def transcribed(weight: Floats, moments: Floats, share: float = 0.0, group: int = 0, keep: int = 0) -> Floats:
    """Algorithm 1 of arXiv 2301.00774, column by column: a share of 128 columns goes, or all but some of a group."""
    weight, columns = weight.copy(), len(moments)
    damped = moments + 0.01 * np.mean(np.diag(moments)) * np.eye(columns)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    mask = np.ones(weight.shape, bool)
    for start in range(0, columns, 128):
        stop = min(start + 128, columns)
        errors = np.zeros((len(weight), stop - start))
        if not group:
            saliency = np.abs(weight[:, start:stop]) / np.diag(upper)[start:stop]
            count = round(share * stop * len(weight)) - round(share * start * len(weight))
            lowest = np.argsort(saliency.astype(np.float32), axis=None, kind="stable")[:count]
            chosen = np.ones(saliency.size, bool)
            chosen[lowest] = False
            mask[:, start:stop] = chosen.reshape(saliency.shape)
        for column in range(start, stop):
            if group and column % group == 0:
                part = slice(column, column + group)
                saliency = (np.abs(weight[:, part]) / np.diag(upper)[part]).astype(np.float32)
                for row, order in enumerate(np.argsort(saliency, axis=1, kind="stable")):
                    mask[row, column + order[: group - keep]] = False
            error = np.where(mask[:, column], 0, weight[:, column]) / upper[column, column]
            weight[:, column] *= mask[:, column]
            for other in range(column + 1, stop):
                weight[:, other] -= error * upper[column, other]
            errors[:, column - start] = error
        weight[:, stop:] -= errors @ upper[start:stop, stop:]
    return weight


def solved(rows: Floats, moments: Floats, pattern: Pattern, pruned: int) -> Floats:
    alive = np.diag(moments) != 0
    return prune_by_second_order(rows, inverse_factor(moments.copy()), pattern, pruned, alive).reshape(len(rows), -1)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_zeros_anywhere_are_those_of_the_paper(share: float, seed: int) -> None:
    rows, moments = layer(16, 1, 300, seed)
    found = solved(rows, moments, Unstructured(), round(share * rows.size))
    expected = transcribed(rows[:, 0], moments, share)
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("keep", "of"), [(2, 4), (1, 4), (4, 8)])
@pytest.mark.parametrize("inputs", [64, 256, 384])
def test_groups_are_those_of_the_paper(keep: int, of: int, inputs: int) -> None:
    rows, moments = layer(8, 1, inputs)
    pattern = NM(keep, of)
    found = solved(rows, moments, pattern, pattern.pruned_count(rows.shape, ROWS, 0))
    expected = transcribed(rows[:, 0], moments, group=of, keep=keep)
    np.testing.assert_array_equal(found == 0, expected == 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "pattern", [Unstructured(), Unstructured(per_row=True), NM(2, 4), NM(1, 4, 2), Block(1, 4), Block(4, 1)], ids=str
)
@pytest.mark.parametrize("shape", [(8, 9, 16), (8, 9, 18), (8, 9, 24), (8, 4, 160), (8, 1, 20), (4, 25, 8)])
def test_as_many_elements_go_as_planned_where_the_pattern_has_them(
    pattern: Pattern, shape: tuple[int, int, int]
) -> None:
    rows, moments = layer(*shape)
    pruned = pattern.pruned_count(shape, ROWS, 0.5)
    found = solved(rows, moments, pattern, pruned)
    assert np.count_nonzero(found == 0) == pruned
    # A second choice among the same zeros finds them: they lie as the pattern says.
    keep = pattern.keep_mask(np.abs(found).astype(np.float32).reshape(shape), ROWS, pruned)
    assert not found.reshape(shape)[~keep].any()


def test_rows_lose_as_many_each() -> None:
    rows, moments = layer(8, 1, 200)
    found = solved(rows, moments, Unstructured(per_row=True), 8 * 120)
    np.testing.assert_array_equal(np.count_nonzero(found == 0, axis=1), 120)


def test_outputs_stay_closer_than_by_the_largest_weights() -> None:
    rows, moments = layer(16, 1, 128)
    found, dense = solved(rows, moments, Unstructured(), rows.size // 2), rows[:, 0]
    largest = np.where(np.abs(dense) >= np.median(np.abs(dense)), dense, 0)
    assert error(dense, found, moments) < 0.95 * error(dense, largest, moments)


def test_the_weight_is_left_alone() -> None:
    rows, moments = layer(4, 1, 16)
    before = rows.copy(), moments.copy()
    solved(rows, moments, Unstructured(), 32)
    np.testing.assert_array_equal(rows, before[0])
    np.testing.assert_array_equal(moments, before[1])


def test_weights_of_inputs_that_are_always_zero_go_first() -> None:
    rows, moments = layer(4, 1, 16)
    moments[3], moments[:, 3] = 0, 0
    rows[:, :, 3] = 100
    assert not solved(rows, moments, Unstructured(), 32)[:, 3].any()


@pytest.mark.parametrize("inputs", [1, 2, 40, 41])
def test_the_factor_is_that_of_the_inverse(inputs: int) -> None:
    _, moments = layer(1, 1, inputs)
    damped = moments + 0.05 * np.diag(moments).mean() * np.eye(inputs)
    factor = inverse_factor(moments, damping=0.05)
    assert factor is moments
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.T @ factor @ damped, np.eye(inputs), atol=1e-8)
    assert (np.diag(factor) > 0).all()


def test_a_matrix_that_cannot_be_overwritten_is_no_argument() -> None:
    with pytest.raises(AssertionError):
        inverse_factor(np.eye(8)[::2, ::2])


def test_inputs_that_are_always_zero_count_as_independent_ones() -> None:
    np.testing.assert_allclose(inverse_factor(np.diag([4.0, 0.0, 1.0]), damping=0.0), np.diag([0.5, 1.0, 1.0]))


def test_moments_without_an_inverse_are_refused() -> None:
    with pytest.raises(InputError, match=r"second moments of 8 inputs are singular with 0 of their mean .* \[GP582\]"):
        inverse_factor(np.ones((8, 8)), damping=0.0)


def error(dense: Floats, other: Floats, moments: Floats) -> float:
    difference = dense - other
    return float(np.trace(difference @ moments @ difference.T))
