"""Orders of channels against all orders there are, and against masks that the pattern itself makes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.masks import permutation
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM
from graphprune.masks.permutation import Permutation, find_permutation, find_runs, kept_sum, worth_of_runs
from graphprune.masks.selection import Scores

PATTERNS = [NM(2, 4), NM(1, 4), NM(3, 4), NM(1, 2), NM(2, 3)]


@st.composite
def scores(draw: st.DrawFn) -> Scores:
    """Few distinct numbers, so that many are equal, or many."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 19)))
    numbers = st.sampled_from([0.0, 0.0, 1.0, 2.0]) | st.floats(0, 100, width=32)
    return draw(hnp.arrays(np.float32, shape, elements=numbers))


def masked_sum(found: Scores, pattern: NM) -> float:
    axes = WeightAxes()
    pruned = pattern.pruned_count(found.shape, axes, pattern.sparsity)
    return float(found[pattern.keep_mask(found, axes, pruned)].sum(dtype=np.float64))


@given(scores(), st.sampled_from(PATTERNS))
def test_never_worse_and_the_sums_are_those_of_masks(found: Scores, pattern: NM) -> None:
    result = find_permutation(found, pattern)
    np.testing.assert_array_equal(np.sort(result.order), np.arange(found.shape[1]))
    assert result.before == pytest.approx(masked_sum(found, pattern), rel=1e-6)
    assert result.after == pytest.approx(masked_sum(found[:, result.order], pattern), rel=1e-6)
    assert result.after > result.before or np.array_equal(result.order, np.arange(found.shape[1]))


@given(scores(), st.sampled_from(PATTERNS))
@settings(max_examples=50)
def test_what_is_in_the_order_found_stays_in_it(found: Scores, pattern: NM) -> None:
    first = find_permutation(found, pattern)
    second = find_permutation(found[:, first.order], pattern)
    np.testing.assert_array_equal(second.order, np.arange(found.shape[1]))


def test_the_same_scores_give_the_same_order() -> None:
    found = np.random.default_rng(1).random((30, 64), np.float32)
    first, second = (find_permutation(found.copy(), NM(2, 4)) for _ in range(2))
    np.testing.assert_array_equal(first.order, second.order)


def partitions(members: tuple[int, ...], of: int) -> Iterator[tuple[int, ...]]:
    """Yield one order for each way to sort members into groups; the last group may be smaller."""
    if len(members) <= of:
        yield members
        return
    for group in itertools.combinations(members, of):
        for rest in partitions(tuple(each for each in members if each not in group), of):
            yield (*group, *rest)


def optimum(found: Scores, pattern: NM) -> float:
    return max(kept_sum(found[:, list(order)], pattern) for order in partitions((*range(found.shape[1]),), pattern.of))


def planted(seed: int, pattern: NM, groups: int, rest: int) -> Scores:
    """Scores of which some order keeps nearly all, shuffled: in each group and line only `keep` are large."""
    rng = np.random.default_rng(seed)
    large = np.zeros((12, groups * pattern.of + rest), bool)
    for line, group in itertools.product(range(12), range(groups + (rest > 0))):
        members = np.arange(group * pattern.of, min((group + 1) * pattern.of, large.shape[1]))
        large[line, rng.permutation(members)[: pattern.keep]] = True
    found = np.where(large, 1 + rng.random(large.shape), 0.1 * rng.random(large.shape)).astype(np.float32)
    return found[:, rng.permutation(large.shape[1])]


@pytest.mark.parametrize(
    ("pattern", "groups", "rest", "found"),
    [(NM(1, 2), 3, 0, 20), (NM(1, 3), 2, 1, 20), (NM(2, 4), 2, 0, 16), (NM(2, 4), 2, 2, 16)],
)
def test_planted_optima_are_found(pattern: NM, groups: int, rest: int, found: int) -> None:
    """All of them where a group keeps one channel; where it keeps two, some take two swaps that gain only together."""
    cases = [planted(seed, pattern, groups, rest) for seed in range(20)]
    results = [(find_permutation(case, pattern), optimum(case, pattern)) for case in cases]
    assert sum(result.after == pytest.approx(best, rel=1e-6) for result, best in results) >= found
    assert all(result.after <= best * (1 + 1e-6) for result, best in results)


def test_a_short_last_group_stays_short_and_keeps_as_many() -> None:
    """The last group keeps both of its channels, so that the two that are worth most belong there."""
    found = np.array([[9, 9, 9, 9, 1, 1]], np.float32)
    result = find_permutation(found, NM(2, 4))
    assert (result.before, result.after) == (20, 36)
    assert (found[0, result.order[4:]] == 9).all()


@pytest.mark.parametrize("shape", [(0, 8), (3, 0), (3, 2), (3, 4)])
def test_where_there_is_nothing_to_swap_the_order_stays(shape: tuple[int, int]) -> None:
    result = find_permutation(np.ones(shape, np.float32), NM(2, 4))
    np.testing.assert_array_equal(result.order, np.arange(shape[1]))
    assert result.before == result.after == kept_sum(np.ones(shape, np.float32), NM(2, 4))


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that may compare nothing returns the given order; one that may compare little is never worse."""
    found = np.random.default_rng(1).random((30, 64), np.float32)

    def within(work: int) -> Permutation:
        monkeypatch.setattr(permutation, "_WORK", work)
        return find_permutation(found, NM(2, 4))

    nothing, little, much = within(0), within(30 * 64 * 4 * 3), within(1 << 33)
    np.testing.assert_array_equal(nothing.order, np.arange(64))
    assert nothing.before == nothing.after < little.after < much.after


def test_a_round_has_every_group_once_and_a_tournament_every_pair_once() -> None:
    for count in range(7):
        pairs = [
            frozenset(pair) for ones, others in permutation._rounds(count) for pair in zip(ones, others, strict=True)
        ]
        assert sorted(map(sorted, pairs)) == [list(pair) for pair in itertools.combinations(range(count), 2)]
        for ones, others in permutation._rounds(count):
            assert len({*ones, *others}) == len(ones) + len(others)


def zero_runs(found: Scores, length: int) -> int:
    """In plain NumPy; the last run may be shorter."""
    return sum(int((~found[:, start : start + length].any(1)).sum()) for start in range(0, found.shape[1], length))


@given(scores(), st.sampled_from([2, 3, 4]))
def test_runs_are_never_worth_less(found: Scores, length: int) -> None:
    result = find_runs(found, length)
    np.testing.assert_array_equal(np.sort(result.order), np.arange(found.shape[1]))
    for value, ordered in ((result.before, found), (result.after, found[:, result.order])):
        sums = [ordered[:, start : start + length].sum(1) for start in range(0, found.shape[1], length)]
        assert value == pytest.approx(sum(np.maximum(each - 1, 0).sum() for each in sums), rel=1e-5, abs=1e-4)
    assert result.after > result.before or np.array_equal(result.order, np.arange(found.shape[1]))


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 19)), elements=st.sampled_from([0.0, 0.0, 1.0]))
)
def test_of_zeros_and_ones_the_worth_counts_runs_of_zeros(found: Scores) -> None:
    result = find_runs(found, 4)
    gained = zero_runs(found[:, result.order], 4) - zero_runs(found, 4)
    assert gained == round(result.after - result.before)


def test_planted_runs_are_found() -> None:
    """Zeros of each line lie in whole groups of some order, which is shuffled: no order has more runs of zeros."""
    best = 0
    for number in range(20):
        rng = np.random.default_rng(number)
        planted = np.repeat(rng.random((12, 3)) < 0.3, 3, axis=1).astype(np.float32)
        found = planted[:, rng.permutation(9)]
        result = find_runs(found, 3)
        optimal = max(worth_of_runs(found[:, list(order)], 3) for order in partitions((*range(9),), 3))
        assert result.after <= optimal
        best += result.after == optimal
    assert best >= 19


def test_a_short_last_run_stays_short() -> None:
    found = np.array([[1, 0, 0, 0, 0, 1]], np.float32)
    result = find_runs(found, 4)
    assert (zero_runs(found, 4), zero_runs(found[:, result.order], 4)) == (0, 1)
    assert found[0, result.order[4:]].all()


def test_the_search_for_runs_changes_no_scores() -> None:
    """Neither in rows nor in columns, which it may read in place."""
    given_scores = np.random.default_rng(1).random((16, 16), np.float32)
    for found in (given_scores, np.asfortranarray(given_scores)):
        before = found.copy()
        find_runs(4 * found, 4), find_runs(found, 4), find_permutation(found, NM(2, 4))
        np.testing.assert_array_equal(found, before)
