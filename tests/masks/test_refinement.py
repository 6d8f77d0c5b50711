"""Masks whose zeros change places, beside a plain transcription of the algorithm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Pattern, Unstructured, parse_pattern
from graphprune.masks.refinement import Floats, InputStatistics, Mask, refine, why_not_refined

ROWS = WeightAxes(0, 2)


def refined_row(weight: Floats, target: Floats, keep: Mask, inputs: InputStatistics, groups: list[list[int]]) -> Mask:
    """One output, as the paper and its repository have it; `groups` are those of N:M, none elsewhere."""
    share = [float((weight if kept else target)[j] * inputs.sums[j]) for j, kept in enumerate(keep)]
    lost = float(np.sum((target - weight) * inputs.sums))
    first = np.sign(lost)
    regrow = [j for j, kept in enumerate(keep) if not kept]
    remove = [j for j, kept in enumerate(keep) if kept]
    kept = keep.copy()
    for _ in range(50):
        if abs(lost) <= 0.1:
            break
        sign = 1 if lost > 0 else -1
        growing = [j for j in regrow if sign * share[j] > 0]
        if not growing:
            break
        grown = max(growing, key=lambda j: sign * share[j] / inputs.variances[j])
        if groups:
            going = [j for group in groups if grown in group for j in group if j in remove]
        else:
            going = [j for j in remove if sign * share[j] < 0]
        if not going:
            break
        gone = min(going, key=lambda j: abs(weight[j]) * inputs.norms[j])
        after = lost + share[gone] - share[grown]
        if groups and np.sign(after) != first:
            break
        regrow.remove(grown)
        remove.remove(gone)
        kept[grown], kept[gone] = True, False
        lost = after
    return kept


def members(shape: tuple[int, ...], pattern: Pattern) -> list[list[int]]:
    if not isinstance(pattern, NM):
        return []
    columns = np.arange(shape[1] * shape[2]).reshape(shape[1:])
    return [list(row[at : at + pattern.of]) for row in columns for at in range(0, shape[2], pattern.of)]


def statistics(rng: np.random.Generator, columns: int, scale: float) -> InputStatistics:
    rows = rng.standard_normal((50, columns)) * np.exp(rng.standard_normal(columns)) + rng.standard_normal(columns)
    return InputStatistics(rows.mean(axis=0) * scale, rows.var(axis=0), np.sqrt(np.square(rows).mean(axis=0)))


def random_layer(
    seed: int, shape: tuple[int, int, int], pattern: Pattern, scale: float = 20.0
) -> tuple[Floats, Floats, Mask, InputStatistics]:
    """A layer whose weights that stay are not what they were."""
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(shape)
    scores = np.abs(target).astype(np.float32)
    keep = pattern.keep_mask(scores, ROWS, pattern.pruned_count(shape, ROWS, 0.5))
    start = np.where(keep, target + 0.01 * rng.standard_normal(shape), 0.0)
    return start, target, keep, statistics(rng, shape[1] * shape[2], scale)


PATTERNS = ("unstructured", "unstructured rows", "2:4", "1:4", "3:4", "4:8", "1:2")


@settings(deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(1, 1, 8), (5, 1, 24), (3, 4, 10), (2, 9, 16), (2, 1, 200), (4, 3, 7)]),
    st.sampled_from(PATTERNS),
    st.sampled_from([0.01, 1.0, 1000.0]),
)
def test_each_output_is_refined_as_published(seed: int, shape: tuple[int, int, int], text: str, scale: float) -> None:
    pattern = parse_pattern(text)
    start, target, keep, inputs = random_layer(seed, shape, pattern, scale)
    found = refine(start, target, keep, inputs, pattern)
    flat = start.reshape(shape[0], -1), target.reshape(shape[0], -1), keep.reshape(shape[0], -1)
    groups = members(shape, pattern)
    expected = [refined_row(*each, inputs=inputs, groups=groups) for each in zip(*flat, strict=True)]
    np.testing.assert_array_equal(found.reshape(shape[0], -1), expected)
    assert found.shape == shape


def test_layers_of_more_outputs_than_are_refined_at_once() -> None:
    start, target, keep, inputs = random_layer(0, (1100, 1, 8), Unstructured())
    found = refine(start, target, keep, inputs, Unstructured())
    for row in (0, 511, 512, 1099):
        part = slice(row, row + 1)
        np.testing.assert_array_equal(
            found[part], refine(start[part], target[part], keep[part], inputs, Unstructured())
        )


@pytest.mark.parametrize("text", PATTERNS)
def test_zeros_are_as_many_and_lie_as_the_pattern_says(text: str) -> None:
    pattern, shape = parse_pattern(text), (40, 2, 24)
    start, target, keep, inputs = random_layer(1, shape, pattern)
    before = keep.copy()
    found = refine(start, target, keep, inputs, pattern)
    np.testing.assert_array_equal(keep, before)
    assert (found != keep).any()
    np.testing.assert_array_equal(found.sum(axis=(1, 2)), keep.sum(axis=(1, 2)))
    if isinstance(pattern, NM):
        assert set(found.reshape(40, 2, -1, pattern.of).sum(axis=3).ravel()) == {pattern.keep}


@pytest.mark.parametrize("text", PATTERNS)
def test_means_of_outputs_come_closer(text: str) -> None:
    pattern = parse_pattern(text)
    start, target, keep, inputs = random_layer(2, (200, 1, 64), pattern)

    def lost(kept: Mask) -> float:
        left = np.where(kept, np.where(keep, start, target), 0.0)
        return float(np.abs((target - left).reshape(200, -1) @ inputs.sums).mean())

    assert lost(refine(start, target, keep, inputs, pattern)) < 0.7 * lost(keep)


def row(*numbers: float) -> Floats:
    return np.array(numbers, float).reshape(1, 1, -1)


def plain(columns: int) -> InputStatistics:
    return InputStatistics(np.ones(columns), np.ones(columns), np.ones(columns))


def kept(
    weight: Floats, keep: npt.ArrayLike, inputs: InputStatistics | None = None, pattern: str = "unstructured"
) -> list[int]:
    """Which columns of the one output stay."""
    mask = np.array(keep, bool).reshape(weight.shape)
    statistics = inputs or plain(weight.size)
    found = refine(np.where(mask, weight, 0), weight, mask, statistics, parse_pattern(pattern))
    return [int(column) for column in np.flatnonzero(found)]


def test_an_output_that_is_close_enough_stays() -> None:
    assert kept(row(-1, 0.1, 3), [1, 0, 1]) == [0, 2]
    assert kept(row(-1, 0.101, 3), [1, 0, 1]) == [1, 2]
    assert kept(row(1, -0.1, 3), [1, 0, 1]) == [0, 2]
    assert kept(row(1, -0.101, 3), [1, 0, 1]) == [1, 2]


def test_an_output_that_came_close_stops() -> None:
    # 2 is lost; 3 grows and -1 goes, which leaves 2 - 3 - 1 = -2; -1 grows and 4 goes, which leaves -2 + 1 + 4 = 3.
    assert kept(row(3, -1, -1, 4), [0, 0, 1, 1]) == [0, 1]
    # 1.55 is lost; 1 grows and -0.5 goes, which leaves 0.05.
    assert kept(row(1, 0.55, -0.5, -0.6), [0, 0, 1, 1]) == [0, 3]


def test_nothing_left_to_swap() -> None:
    assert kept(row(1, 2, 3), [0, 1, 1]) == [1, 2]  # nothing of the other sign goes
    assert kept(row(1, 2, -3), [1, 1, 1]) == [0, 1, 2]
    assert kept(row(1, 0, 3), [0, 1, 1]) == [1, 2]
    assert kept(row(-1, 0, -3), [0, 1, 1]) == [1, 2]
    assert kept(row(1, -1), [0, 0]) == []
    assert kept(row(5, 5), [0, 0]) == []


def test_what_grows_counts_less_where_inputs_vary() -> None:
    inputs = plain(3)._replace(variances=np.array([4.0, 1.0, 1.0]))
    assert kept(row(3, 1, -1), [0, 0, 1]) == [0]
    assert kept(row(3, 1, -1), [0, 0, 1], inputs) == [1]


def test_what_goes_counts_more_where_inputs_are_large() -> None:
    inputs = plain(3)._replace(norms=np.array([1.0, 5.0, 1.0]))
    assert kept(row(2, -1, -2), [0, 1, 1]) == [0, 2]
    assert kept(row(2, -1, -2), [0, 1, 1], inputs) == [0, 1]


def test_inputs_that_never_vary() -> None:
    for constant in (InputStatistics(np.ones(3), np.zeros(3), np.ones(3)), InputStatistics(*np.zeros((3, 3)))):
        found = kept(row(2, 1, -2), [0, 0, 1], constant)
        assert found == ([0] if constant.sums.any() else [2])


def test_groups_stop_before_the_sign_changes() -> None:
    assert kept(row(3, -0.5, 1, 1.5), [0, 0, 1, 1], pattern="2:4") == [0, 3]  # 2.5 is lost, then 0.5
    assert kept(row(2, -0.5, 0.2, 0.3), [0, 0, 1, 1], pattern="2:4") == [2, 3]  # it would be -0.3
    assert kept(row(3, -1, 1, 1), [0, 0, 1, 1], pattern="2:4") == [2, 3]  # it would be 0
    assert kept(row(2, -0.5, 0.2, 0.3), [0, 0, 1, 1]) == [2, 3]  # nothing of the other sign goes
    assert kept(row(2, -0.5, -0.2, -0.3), [0, 0, 1, 1]) == [0, 3]  # elsewhere signs may change


@pytest.mark.parametrize("text", ["block 1x4", "block 4x1", "2:4x2"])
def test_zeros_that_are_tied_are_not_refined(text: str) -> None:
    assert why_not_refined(parse_pattern(text)) == (
        f"ties zeros of several elements or outputs together (pattern '{text}')"
    )


@pytest.mark.parametrize("text", PATTERNS)
def test_zeros_of_an_output_by_itself_are(text: str) -> None:
    assert why_not_refined(parse_pattern(text)) is None
