"""Scores of channels beside plain NumPy, and what cannot be scored."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import ChannelGroupValues, score_channels

RNG = np.random.default_rng(0)
FIRST, SECOND, SCALE = (RNG.standard_normal((5, count)).astype(np.float32) for count in (8, 3, 1))
GROUP = ChannelGroupValues("g", [FIRST, SECOND], [SCALE, 2 * SCALE])
TOGETHER = np.concatenate([FIRST, SECOND], axis=1).astype(np.float64)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("l2", np.sqrt((TOGETHER**2).mean(axis=1))),
        ("l1", np.abs(TOGETHER).mean(axis=1)),
        ("batch-norm", 1.5 * np.abs(SCALE[:, 0])),
    ],
)
def test_scores(criterion: str, expected: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    np.testing.assert_allclose(score_channels(criterion, GROUP), expected, rtol=1e-6)


def test_random_scores_depend_on_the_name_alone() -> None:
    first, again = score_channels("random", GROUP), score_channels("random", GROUP)
    other = score_channels("random", ChannelGroupValues("h", [FIRST], []))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_group_without_batch_norm_has_no_scale() -> None:
    with pytest.raises(RecipeError, match=r"group 'g': criterion batch-norm needs a BatchNormalization.*GP338"):
        score_channels("batch-norm", ChannelGroupValues("g", [FIRST], []))


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_nan_is_refused(criterion: str) -> None:
    with pytest.raises(RecipeError, match=r"group 'g' holds NaN or an infinity.*GP323"):
        score_channels(criterion, ChannelGroupValues("g", [np.where(FIRST > 1, np.nan, FIRST)], []))
