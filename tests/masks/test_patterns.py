"""Patterns: text form, exact counts, and what is kept, beside a search over groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import RecipeError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Block, Pattern, Unstructured, parse_pattern

AXES = WeightAxes()
SHAPES = [((10, 10), AXES), ((8, 12, 3, 3), AXES), ((12, 8), WeightAxes(1, 0)), ((4, 3, 4, 16), WeightAxes(2, 3))]


def scores(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 6, shape).astype(np.float32)  # many ties


@pytest.mark.parametrize("pattern", [Unstructured(), NM(2, 4), NM(1, 16), NM(2, 4, 16), Block(4, 1), Block(1, 8)])
def test_text_form_goes_both_ways(pattern: Pattern) -> None:
    assert parse_pattern(str(pattern)) == pattern


@pytest.mark.parametrize("text", ["", "Unstructured", "unstructered", "2:4x", "block 4", "4x1", "-1:4", "2:4x-1"])
def test_an_unknown_pattern_is_named(text: str) -> None:
    with pytest.raises(RecipeError, match=r"unknown pattern '.*', expected 'unstructured', '2:4' .*GP327"):
        parse_pattern(text)


@pytest.mark.parametrize("text", ["0:4", "4:4", "5:4", "2:4x0", "block 0x1", "block 1x0"])
def test_an_impossible_pattern_is_named(text: str) -> None:
    with pytest.raises(RecipeError, match=rf"pattern '{text}' .*GP327"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("shape", "sparsity", "count"),
    [((10, 10), 0.9, 90), ((3, 3), 0.5, 4), ((100,), 0.29, 29), ((7, 3, 1, 1), 0.0, 0), ((0, 4), 0.9, 0)],
)
def test_count_is_the_rounded_share(shape: tuple[int, ...], sparsity: float, count: int) -> None:
    assert Unstructured().pruned_count(shape, AXES, sparsity) == count


def test_mask_has_exactly_the_count_even_where_all_are_equal() -> None:
    mask = Unstructured().keep_mask(np.ones((5, 7), np.float32), AXES, 31)
    assert np.count_nonzero(~mask) == 31


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("pattern", [NM(1, 4), NM(2, 4), NM(3, 8), NM(1, 2)])
def test_each_group_keeps_its_best(pattern: NM, shape: tuple[int, ...], axes: WeightAxes) -> None:
    drawn = scores(shape)
    keep = pattern.keep_mask(drawn, axes, 0)
    assert keep.shape == shape
    assert np.count_nonzero(~keep) == pattern.pruned_count(shape, axes, 0)
    rows, kept = axes.rows(drawn), axes.rows(keep)
    for start in range(0, rows.shape[-1], pattern.of):
        group, chosen = rows[..., start : start + pattern.of], kept[..., start : start + pattern.of]
        for values, flags in zip(group.reshape(-1, group.shape[-1]), chosen.reshape(-1, group.shape[-1]), strict=True):
            best = sorted(range(len(values)), key=lambda index: (values[index], index))[-pattern.keep :]
            assert sorted(best) == np.flatnonzero(flags).tolist()


def test_a_pattern_on_its_way() -> None:
    assert [NM(1, 4, 2).relaxed(ratio) for ratio in (0, 0.1, 1 / 3, 0.7, 1)] == [
        None, None, NM(3, 4, 2), NM(2, 4, 2), NM(1, 4, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(("shape", "axes"), SHAPES[1:])
def test_outputs_that_share_a_mask(shape: tuple[int, ...], axes: WeightAxes) -> None:
    drawn, pattern = scores(shape), NM(1, 4, 2)
    keep = pattern.keep_mask(drawn, axes, 0)
    assert np.count_nonzero(~keep) == pattern.pruned_count(shape, axes, 0)
    rows, kept = axes.rows(drawn), axes.rows(keep)
    assert (kept[::2] == kept[1::2]).all()
    energy = np.square(rows[::2]) + np.square(rows[1::2])
    alone = NM(1, 4).keep_mask(energy, WeightAxes(0, 2), 0)
    assert (kept[::2] == alone).all()


@given(st.integers(1, 40), st.integers(2, 16), st.data())
def test_a_shorter_last_group_keeps_as_many(inputs: int, of: int, data: st.DataObject) -> None:
    pattern = NM(data.draw(st.integers(1, of - 1)), of)
    keep = pattern.keep_mask(scores((3, inputs)), AXES, 0)
    sizes = [min(of, inputs - start) for start in range(0, inputs, of)]
    assert np.count_nonzero(keep) == 3 * sum(min(pattern.keep, size) for size in sizes)
    assert np.count_nonzero(~keep) == pattern.pruned_count((3, inputs), AXES, 0.3)


@pytest.mark.parametrize(("shape", "axes"), SHAPES[1:])
@pytest.mark.parametrize("pattern", [Block(4, 1), Block(1, 4), Block(2, 4)])
def test_whole_blocks_go(pattern: Block, shape: tuple[int, ...], axes: WeightAxes) -> None:
    drawn = scores(shape)
    pruned = pattern.pruned_count(shape, axes, 0.7)
    keep = axes.rows(pattern.keep_mask(drawn, axes, pruned))
    assert np.count_nonzero(~keep) == pruned
    outputs, positions, inputs = keep.shape
    split = (outputs // pattern.rows, pattern.rows, positions, inputs // pattern.columns, pattern.columns)
    blocks = keep.reshape(split)
    np.testing.assert_array_equal(blocks.any(axis=(1, 4)), blocks.all(axis=(1, 4)))
    energy = np.square(axes.rows(drawn)).reshape(split).sum(axis=(1, 4))
    gone = ~blocks.all(axis=(1, 4))
    assert energy[gone].max() <= energy[~gone].min()


@pytest.mark.parametrize("shape", [(1, 40), (2, 9), (6, 7, 3), (214, 16), (10, 2), (5, 6)])
@pytest.mark.parametrize("pattern", [Block(4, 1), Block(1, 4), Block(4, 4), Block(3, 2)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_the_last_blocks_may_be_smaller(pattern: Block, shape: tuple[int, ...], share: float) -> None:
    drawn = np.random.default_rng(1).random(shape).astype(np.float32)
    pruned = pattern.pruned_count(shape, AXES, share)
    keep = AXES.rows(pattern.keep_mask(drawn, AXES, pruned))
    assert np.count_nonzero(~keep) == pruned
    gone: dict[tuple[int, int], list[bool]] = {}
    for top in range(0, shape[0], pattern.rows):
        for left in range(0, shape[1], pattern.columns):
            block = keep[top : top + pattern.rows, :, left : left + pattern.columns]
            assert (block.any(axis=(0, 2)) == block.all(axis=(0, 2))).all()
            gone.setdefault((block.shape[0], block.shape[2]), []).extend((~np.asarray(block.all(axis=(0, 2)))).tolist())
    assert all(sum(flags) == round(len(flags) * share) for flags in gone.values())


@pytest.mark.parametrize("outputs", [1, 2, 6])
def test_the_last_outputs_that_share_a_mask_may_be_fewer(outputs: int) -> None:
    drawn, pattern = scores((outputs, 9)), NM(1, 4, 4)
    keep = pattern.keep_mask(drawn, AXES, 0)
    assert np.count_nonzero(~keep) == pattern.pruned_count((outputs, 9), AXES, 0)
    assert all((keep[start : start + 4] == keep[start]).all() for start in range(0, outputs, 4))
    last = drawn[-(outputs % 4) :]
    np.testing.assert_allclose(pattern.unit_scores(drawn, AXES)[-1, 0], np.sqrt((last**2).mean(axis=0)), rtol=1e-6)


@pytest.mark.parametrize(
    ("pattern", "shape", "share", "count"),
    [
        (NM(1, 4), (3, 9, 2), 0.0, 3 * 2 * 6),
        (NM(2, 4), (3, 9), 0.0, 3 * 4),
        (NM(2, 4), (3, 11), 0.0, 3 * 5),
        (NM(2, 4), (3, 0), 0.0, 0),
        (NM(2, 4), (0, 3), 0.0, 0),
        (Block(4, 1), (10, 2), 0.5, 2 * 4 + 1 * 2),
        (Block(4, 1), (8, 3, 5), 0.5, 15 * 4),
        (Block(2, 4), (6, 9), 0.5, round(0.5 * 6) * 8 + round(0.5 * 3) * 2),
        (Block(2, 4), (0, 9), 0.5, 0),
        (Block(2, 4), (9, 0), 0.5, 0),
    ],
)
def test_counts_of_groups(pattern: Pattern, shape: tuple[int, ...], share: float, count: int) -> None:
    assert pattern.pruned_count(shape, AXES, share) == count


def test_the_share_of_a_pattern() -> None:
    assert (NM(1, 4).sparsity, NM(6, 8, 2).sparsity) == (0.75, 0.25)


def test_scores_of_units_are_root_mean_squares() -> None:
    drawn = np.array([[3, 4, 1], [0, 0, 2], [6, 8, 5]], np.float32)
    expected = np.sqrt(np.array([[[25 / 4, 5 / 2]], [[50.0, 25.0]]]))
    np.testing.assert_allclose(Block(2, 2).unit_scores(drawn, AXES), expected, rtol=1e-6)
    shared = NM(1, 2, 2).unit_scores(drawn, AXES)
    np.testing.assert_allclose(np.square(shared), np.array([[[4.5, 8.0, 2.5]], [[36.0, 64.0, 25.0]]]), rtol=1e-6)
    np.testing.assert_array_equal(NM(1, 2).unit_scores(drawn, AXES), drawn[:, np.newaxis])
    assert Block(2, 2).unit_scores(np.zeros((0, 3, 4), np.float32), AXES).shape == (0, 4, 2)
    assert Block(2, 2).unit_scores(np.zeros((3, 0, 4), np.float32), AXES).shape == (2, 4, 0)


def test_one_unit_less_goes_at_one_unit_less() -> None:
    drawn = np.arange(12, dtype=np.float32).reshape(4, 3)
    for units in range(7):
        keep = Block(2, 1).keep_mask(drawn, AXES, 2 * units)
        assert np.count_nonzero(~keep) == 2 * units


DEFECTS: list[tuple[Pattern, tuple[int, ...], str | None]] = [
    (NM(2, 4), (8, 4), None),
    (NM(2, 4), (8, 3), "3 input channels, fewer than the 4 of one group"),
    (NM(2, 4, 3), (8, 4), None),
    (Block(4, 1), (10, 3), None),
    (Block(4, 1), (2, 3), None),
    (Block(4, 4), (2, 4), "2 outputs by 4 inputs, a single block"),
    (Block(4, 4), (4, 2), "4 outputs by 2 inputs, a single block"),
    (Block(4, 4), (4, 4, 1, 1), "4 outputs by 4 inputs, a single block"),
    (Block(4, 4), (1, 1), "1 outputs by 1 inputs, a single block"),
    (Block(4, 4), (5, 4), None),
    (Block(4, 4), (4, 5), None),
    (Block(4, 4), (2, 4, 3), None),
    (Block(4, 4), (4, 0), None),
    (Block(4, 1), (0, 1), None),
    (Unstructured(), (1, 1), None),
]


@pytest.mark.parametrize(("pattern", "shape", "defect"), DEFECTS)
def test_what_does_not_fit_is_said(pattern: Pattern, shape: tuple[int, ...], defect: Any) -> None:  # noqa: ANN401
    assert pattern.defect(shape, AXES) == defect


UNEVEN: list[tuple[Pattern, tuple[int, ...], str | None]] = [
    (NM(2, 4, 3), (8, 4), "8 outputs, no multiple of 3"),
    (NM(2, 4, 4), (8, 5), None),
    (Block(4, 1), (8, 3), None),
    (Block(4, 1), (10, 3), "10 outputs by 3 inputs, no multiple of 4 by 1"),
    (Block(1, 2), (10, 3), "10 outputs by 3 inputs, no multiple of 1 by 2"),
    (Unstructured(), (1, 1), None),
]


@pytest.mark.parametrize(("pattern", "shape", "uneven"), UNEVEN)
def test_shorter_groups_are_said(pattern: Pattern, shape: tuple[int, ...], uneven: str | None) -> None:
    assert pattern.uneven(shape, AXES) == uneven


@pytest.mark.parametrize("axes", [WeightAxes(0, 1), WeightAxes(1, 0)])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.96])
def test_rows_lose_their_lowest_scores(axes: WeightAxes, sparsity: float) -> None:
    pattern = Unstructured(per_row=True)
    scores = np.random.default_rng(0).integers(0, 9, (6, 4, 3)).astype(np.float32)
    pruned = pattern.pruned_count(scores.shape, axes, sparsity)
    keep = pattern.keep_mask(scores, axes, pruned)
    rows, kept = (axes.rows(each).reshape(scores.shape[axes.output], -1) for each in (scores, keep))
    count = round(rows.shape[1] * sparsity)
    assert pruned == count * len(rows)
    for row, stays in zip(rows, kept, strict=True):
        # Among equals, those of lower index go first.
        assert np.flatnonzero(~stays).tolist() == sorted(np.argsort(row, kind="stable")[:count].tolist())


def test_rows_have_a_text_form() -> None:
    assert parse_pattern("unstructured rows") == Unstructured(per_row=True) != Unstructured()


@pytest.mark.parametrize(
    ("pattern", "width"), [("unstructured", 1), ("unstructured rows", 1), ("2:8", 8), ("block 2x4", 4)]
)
def test_the_inputs_that_are_chosen_together(pattern: str, width: int) -> None:
    assert parse_pattern(pattern).width == width
