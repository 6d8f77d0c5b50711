"""Patterns: text form and exact counts."""

import numpy as np
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.patterns import Unstructured, parse_pattern


def test_text_form_goes_both_ways() -> None:
    assert parse_pattern(str(Unstructured())) == Unstructured()


@pytest.mark.parametrize("text", ["", "Unstructured", "unstructered", "2:4x"])
def test_an_unknown_pattern_is_named(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_pattern(text)
    assert str(caught.value) == f"unknown pattern '{text}', expected 'unstructured' [GP327]"


@pytest.mark.parametrize(
    ("shape", "sparsity", "count"),
    [((10, 10), 0.9, 90), ((3, 3), 0.5, 4), ((100,), 0.29, 29), ((7, 3, 1, 1), 0.0, 0), ((0, 4), 0.9, 0)],
)
def test_count_is_the_rounded_share(shape: tuple[int, ...], sparsity: float, count: int) -> None:
    assert Unstructured().pruned_count(shape, sparsity) == count


def test_mask_has_exactly_the_count_even_where_all_are_equal() -> None:
    mask = Unstructured().keep_mask(np.ones((5, 7), np.float32), 31)
    assert np.count_nonzero(~mask) == 31
