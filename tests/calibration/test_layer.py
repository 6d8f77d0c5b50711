"""One layer: what goes, what stays, and the repairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphprune.calibration.layer import Group, Solution, needs_products, solve
from graphprune.calibration.moments import DriftMoments, Floats, InputMoments, gather, gather_drift
from graphprune.calibration.repair import Repair
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.refinement import InputStatistics, Refinement, refine
from graphprune.planning.pruning_plan import WeightPlan

RNG = np.random.default_rng()
CHANNELS, INPUTS = 16, 24


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def plan(criterion: str, pattern: str = "unstructured", shape: tuple[int, ...] = (CHANNELS, INPUTS)) -> WeightPlan:
    return WeightPlan(
        name="w", shape=shape, output_axis=0, input_axis=1, pattern=pattern, criterion=criterion, sparsity=0.5
    )


def inputs(columns: int = INPUTS, groups: int = 1) -> list[Floats]:
    """Rows whose columns depend on each other, are of different size and do not vary around zero."""
    mixed = RNG.standard_normal((groups, 500, columns)) @ RNG.standard_normal((columns, columns))
    return list((mixed + 3) * np.logspace(-1, 1, columns))


def moments_of(groups: list[Floats]) -> list[InputMoments]:
    return gather([[*groups]], "w", products=True)


def wrong(weight: Floats, found: Solution, rows: Floats) -> float:
    """The mean square of what outputs differ by."""
    return float(np.square(rows @ (found.weight - weight).T + found.shift).mean())


def test_wanda_is_the_formula_of_the_paper() -> None:
    weight, rows = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    found = solve(plan("wanda", "unstructured rows"), weight, moments_of(rows), ())
    scores = np.abs(weight) * np.linalg.norm(rows[0], axis=0)
    for row, kept, values in zip(scores, found.keep, found.weight, strict=True):
        assert set(np.argsort(row)[INPUTS // 2 :]) == set(np.flatnonzero(kept))
        np.testing.assert_array_equal(np.flatnonzero(values), np.flatnonzero(kept))
    np.testing.assert_array_equal(found.weight[found.keep], weight[found.keep])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("keep", "of"), [(2, 4), (4, 8)])
def test_wanda_in_groups(keep: int, of: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, rows = rng.standard_normal((CHANNELS, INPUTS)).astype(np.float32), inputs()
    found = solve(plan("wanda", f"{keep}:{of}"), weight, moments_of(rows), ())
    scores = (np.abs(weight) * np.linalg.norm(rows[0], axis=0)).reshape(-1, of)
    expected = np.zeros(scores.shape, bool)
    np.put_along_axis(expected, np.argsort(scores, axis=1)[:, of - keep :], values=True, axis=1)
    np.testing.assert_array_equal(found.keep.reshape(-1, of), expected)


def test_groups_of_a_convolution_are_seen_by_their_own_inputs() -> None:
    weight = np.ones((4, 2, 1, 1))
    rows = [np.array([[1.0, 9.0]]), np.array([[9.0, 1.0]])]
    shape = (4, 2, 1, 1)
    found = solve(plan("wanda", "unstructured rows", shape), weight, moments_of(rows), ())
    assert found.keep[..., 0, 0].tolist() == [[False, True]] * 2 + [[True, False]] * 2
    second = solve(plan("sparsegpt", shape=shape), weight, moments_of(rows), ())
    assert second.keep[..., 0, 0].tolist() == [[False, True]] * 2 + [[True, False]] * 2


def test_kernel_positions_are_seen_by_their_own_inputs() -> None:
    weight = np.arange(1.0, 17).reshape(2, 2, 2, 2)
    rows = np.ones((3, 8))
    rows[:, 5] = 100  # position 2, which is [1, 0], of input 1
    found = solve(plan("wanda", "unstructured rows", weight.shape), weight, moments_of([rows]), ())
    expected = weight * np.where((np.arange(8) == 5).reshape(4, 2).T.reshape(2, 2, 2), 100, 1)
    kept = np.argsort(expected.reshape(2, -1))[:, 4:]
    assert [sorted(row) for row in kept] == [np.flatnonzero(row).tolist() for row in found.keep.reshape(2, -1)]


CRITERIA = ("magnitude", "wanda", "sparsegpt")


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block 1x4", "unstructured rows"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_repairs_lower_the_error(criterion: str, pattern: str) -> None:
    weight, rows = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    moments = moments_of(rows)
    none, bias, least, both = (
        solve(plan(criterion, pattern), weight, moments, repairs)
        for repairs in ([], [Repair.BIAS], [Repair.LEAST_SQUARES], [Repair.BIAS, Repair.LEAST_SQUARES])
    )
    errors = [wrong(weight, found, rows[0]) for found in (none, bias, least, both)]
    assert errors[0] > errors[1] > errors[3]
    assert errors[0] > errors[2]
    if criterion != "sparsegpt":  # whose choice of zeros goes by means too, where biases do not take these
        assert errors[2] > errors[3]
    for found in (bias, least, both):
        assert np.count_nonzero(found.keep) == np.count_nonzero(none.keep)
        assert not found.weight[~found.keep].any()
    assert not none.shift.any()
    assert not least.shift.any()
    np.testing.assert_allclose((rows[0] @ (weight - both.weight).T).mean(axis=0), both.shift, rtol=1e-6, atol=1e-9)


def test_least_squares_are_at_the_optimum_of_damped_moments() -> None:
    weight, rows = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    (moments,) = moments_of(rows)
    found = solve(plan("wanda"), weight, [moments], [Repair.LEAST_SQUARES])
    second = moments.second(centred=False)
    damped = second + 0.01 * np.diag(second).mean() * np.eye(INPUTS)
    gradient = np.where(found.keep, (weight - found.weight) @ damped, 0)
    assert np.abs(gradient).max() < 1e-5 * np.abs(weight @ damped).max()


def test_the_error_is_relative_to_the_outputs() -> None:
    weight = RNG.standard_normal((CHANNELS, INPUTS))
    rows = inputs()[0][:16]  # all of which are kept
    found = solve(plan("magnitude"), weight, moments_of([rows]), ())
    expected = np.linalg.norm(rows @ (found.weight - weight).T) / np.linalg.norm(rows @ weight.T)
    assert found.error == pytest.approx(expected)
    assert solve(plan("magnitude"), np.zeros((CHANNELS, INPUTS)), moments_of([rows]), ()).error == 0


def test_products_are_summed_where_somebody_asks_for_them() -> None:
    asked = {
        (criterion, repair)
        for criterion, repair in itertools.product(CRITERIA, Repair)
        if needs_products(plan(criterion), [repair])
    }
    every = set(itertools.product(CRITERIA, Repair))
    cheap = Repair.BIAS, Repair.DAMPING, Repair.BATCH_NORM, Repair.BLOCKS
    assert every - asked == set(itertools.product(("magnitude", "wanda"), cheap))


def drifted(rows: Floats) -> tuple[Floats, list[DriftMoments]]:
    """The rows that the dense model had in place of these: a part of them is another function of their own columns."""
    dense = rows + 0.3 * rows @ RNG.standard_normal((INPUTS, INPUTS)) / INPUTS + RNG.standard_normal(INPUTS)
    return dense, gather_drift([[dense]], [[rows]])


@pytest.mark.parametrize("repairs", [[Repair.DRIFT], list(Repair)], ids=["alone", "with all repairs"])
@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
def test_weights_make_up_for_what_earlier_layers_have_changed(criterion: str, repairs: list[Repair]) -> None:
    weight, (rows,) = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    dense, drifts = drifted(rows)
    moments = moments_of([rows])

    def lost(found: Solution) -> float:
        return float(np.square(rows @ found.weight.T + found.shift - dense @ weight.T).mean())

    without = solve(plan(criterion), weight, moments, [each for each in repairs if each is not Repair.DRIFT])
    found = solve(plan(criterion), weight, moments, repairs, drifts)
    assert lost(found) < 0.9 * lost(without)
    if Repair.BIAS in repairs:
        difference = rows @ found.weight.T + found.shift - dense @ weight.T
        np.testing.assert_allclose(difference.mean(axis=0), 0, atol=1e-9)


def test_without_zeros_drift_is_made_up_for_as_far_as_it_can_be() -> None:
    weight, (rows,) = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    dense, drifts = drifted(rows)
    (moments,) = moments_of([rows])
    target = Group(weight, moments, drifts[0], centred=True).target()
    # The optimum with a constant, of moments that are damped: a little is left of it.
    best, *_ = np.linalg.lstsq(np.column_stack([rows, np.ones(len(rows))]), dense @ weight.T)
    left = rows @ (target - best[:-1].T).T
    before = rows @ (weight - best[:-1].T).T
    assert np.square(left - left.mean(0)).mean() < 1e-2 * np.square(before - before.mean(0)).mean()


def test_the_error_is_that_to_the_dense_model() -> None:
    weight, rows = RNG.standard_normal((CHANNELS, INPUTS)), inputs()[0][:16]
    dense, drifts = drifted(rows)
    found = solve(plan("magnitude"), weight, moments_of([rows]), [Repair.DRIFT], drifts)
    expected = np.linalg.norm(rows @ found.weight.T - dense @ weight.T) / np.linalg.norm(dense @ weight.T)
    assert found.error == pytest.approx(expected)


def test_of_few_samples_less_is_believed() -> None:
    """Drift that is noise is not made up for, where samples that are held back say so."""
    weight, samples = RNG.standard_normal((CHANNELS, INPUTS)), [RNG.standard_normal((1, INPUTS)) for _ in range(40)]
    dense = [rows + RNG.standard_normal(rows.shape) for rows in samples]
    drifts = gather_drift(([rows] for rows in dense), ([rows] for rows in samples), held=True)
    moments = gather(([rows] for rows in samples), "w", products=True, held=True)
    careful, believed, unknown = (
        solve(plan("magnitude"), weight, moments, repairs, drifts).weight
        for repairs, drifts[0].held in (
            ([Repair.DRIFT, Repair.DAMPING], drifts[0].held),
            ([Repair.DRIFT], drifts[0].held),
            ([Repair.DRIFT, Repair.DAMPING], None),
        )
    )
    errors = [np.square(found - np.where(found != 0, weight, 0)).mean() for found in (careful, believed)]
    assert errors[0] < 0.2 * errors[1]
    np.testing.assert_array_equal(unknown, believed)


@pytest.mark.parametrize("pattern", ["unstructured", "unstructured rows", "2:4"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_masks_are_refined_by_what_is_multiplied(criterion: str, pattern: str) -> None:
    weight, (rows,) = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    moments = gather([[rows[:200]], [rows[200:]]], "w", products=True)
    before = solve(plan(criterion, pattern), weight, moments, ())
    found = solve(plan(criterion, pattern), weight, moments, (), refinement=Refinement.DSNOT)
    statistics = InputStatistics(rows.sum(axis=0) / 2, rows.var(axis=0), np.sqrt(np.square(rows).mean(axis=0)))
    three = (CHANNELS, 1, INPUTS)
    start, target, keep = before.weight.reshape(three), weight.reshape(three), before.keep.reshape(three)
    expected = refine(start, target, keep, statistics, parse_pattern(pattern))[:, 0]
    assert (found.keep != before.keep).any()
    np.testing.assert_array_equal(found.keep, expected)
    np.testing.assert_array_equal(found.weight, np.where(expected, np.where(before.keep, before.weight, weight), 0))


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_refined_masks_are_repaired(pattern: str) -> None:
    weight, (rows,) = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    _, drifts = drifted(rows)
    moments = moments_of([rows])
    bare, repaired = (
        solve(plan("wanda", pattern), weight, moments, repairs, drifts if repairs else None, Refinement.DSNOT)
        for repairs in ([], list(Repair))
    )
    assert repaired.error < 0.8 * bare.error
    for found in (bare, repaired):
        assert not found.weight[~found.keep].any()
        assert np.count_nonzero(found.keep) == weight.size // 2


def test_weights_that_grow_are_those_that_make_up_for_earlier_layers() -> None:
    weight, (rows,) = RNG.standard_normal((CHANNELS, INPUTS)), inputs()
    _, drifts = drifted(rows)
    moments = moments_of([rows])
    target = Group(weight, moments[0], drifts[0], centred=False).target()
    found = solve(plan("wanda"), weight, moments, [Repair.DRIFT], drifts, Refinement.DSNOT)
    unrefined = solve(plan("wanda"), weight, moments, [Repair.DRIFT], drifts)
    assert (found.keep & ~unrefined.keep).any()
    np.testing.assert_array_equal(found.weight, np.where(found.keep, target, 0))


def test_groups_and_kernel_positions_are_refined_by_their_own_inputs() -> None:
    shape = (4, 8, 2, 2)
    weight, axes = RNG.standard_normal(shape), WeightAxes(0, 1)
    groups = inputs(32, 2)
    moments, entry = moments_of(groups), plan("magnitude", "2:4", shape)
    before, found = (solve(entry, weight, moments, (), refinement=each) for each in (None, Refinement.DSNOT))
    assert (found.keep != before.keep).any()
    for number, (rows, part) in enumerate(zip(groups, (slice(0, 2), slice(2, 4)), strict=True)):
        statistics = InputStatistics(rows.sum(axis=0), rows.var(axis=0), np.sqrt(np.square(rows).mean(axis=0)))
        start, target, keep = (axes.rows(each)[part] for each in (before.weight, weight, before.keep))
        expected = refine(start, target, keep, statistics, parse_pattern("2:4"))
        np.testing.assert_array_equal(axes.rows(found.keep)[part], expected, err_msg=str(number))
