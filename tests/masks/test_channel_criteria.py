"""Scores of channels beside plain NumPy, and what cannot be scored."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.errors import RecipeError
from graphprune.masks.channel_criteria import ChannelGroupValues, score_channels, weakest

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


def test_fluctuations_are_standardised_over_all_inputs_and_averaged_over_those_of_a_channel() -> None:
    inputs = np.abs(RNG.standard_normal((5, 3)))
    group = ChannelGroupValues("g", [FIRST], [], inputs)
    flat = inputs.reshape(-1)
    expected = ((flat - flat.mean()) / np.sqrt(np.square(flat - flat.mean()).sum() / 14)).reshape(5, 3).mean(axis=1)
    np.testing.assert_allclose(score_channels("flap", group), expected, rtol=1e-12)


def test_channels_that_vary_alike_are_worth_alike() -> None:
    assert score_channels("flap", ChannelGroupValues("g", [FIRST], [], np.full((5, 3), 0.25))).tolist() == [0] * 5


def test_fluctuations_need_samples() -> None:
    message = r"criterion 'flap' needs samples for group 'g': .*prune_channels\(model, recipe, samples\) \[GP306\]"
    with pytest.raises(RecipeError, match=message):
        score_channels("flap", GROUP)


def test_the_weakest_are_those_of_the_lowest_scores() -> None:
    assert weakest(np.array([3.0, 1.0, 2.0, 1.0]), 2) == (1, 3)
    assert weakest(np.array([3.0, 1.0, 1.0, 1.0]), 2) == (1, 2)
    assert weakest(np.array([1.0, 3.0, 0.0, 2.0]), 2) == (0, 2)
    assert weakest(np.array([3.0, 1.0]), 0) == ()
