"""Scores of the study of pruning without training, from outputs that are written down."""

import math

import numpy as np
import pytest

from benchmarks.one_shot.minilm import rank_correlation
from benchmarks.one_shot.recognizer import Recognizer, distance
from benchmarks.one_shot.resnet20 import top_1
from benchmarks.one_shot.smollm2 import perplexity


def test_perplexity_of_a_uniform_guess_is_the_vocabulary() -> None:
    windows = [np.full((1, 4, 7), 300, np.float32)] * 2
    assert perplexity(windows, np.zeros((2, 3), np.int64)) == pytest.approx(7)


def test_perplexity_reads_each_token_from_the_one_before() -> None:
    chances = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]], np.float32)
    with np.errstate(divide="ignore"):
        logits = np.log(chances)[None]
    assert perplexity([logits], np.array([[1, 2]])) == pytest.approx(math.exp(-(math.log(0.25) + math.log(0.8)) / 2))


def test_perplexity_refuses_windows_that_are_missing() -> None:
    with pytest.raises(ValueError, match="longer"):
        perplexity([np.zeros((1, 4, 7), np.float32)], np.zeros((2, 3), np.int64))


def test_top_1_is_the_share_of_right_answers() -> None:
    scores = [np.array([[0.1, 0.9]]), np.array([[0.8, 0.2]]), np.array([[2.0, -1.0]])]
    assert top_1(scores, np.array([1, 1, 0])) == pytest.approx(2 / 3)


def test_rank_correlation_goes_by_the_order_of_likeness_alone() -> None:
    angles = np.array([0.0, 0.1, 0.3, 0.7])
    near, far = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (angles, 2 * angles))
    assert rank_correlation(far, near) == pytest.approx(1)
    assert rank_correlation(near[[3, 1, 2, 0]], near) < 0.5


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0)]
)
def test_distance_is_the_fewest_edits(one: str, other: str, edits: int) -> None:
    assert distance(*(np.array([ord(each) for each in word], np.int64) for word in (one, other))) == edits


def test_characters_are_read_without_repetitions_and_blanks() -> None:
    steps = np.eye(4)[[1, 1, 0, 1, 2, 0, 0]][None]
    subject = Recognizer()
    assert subject.score([steps], np.array([[1, 1, 2, 0, 0]])) == 1
    assert subject.score([steps], np.array([[1, 1, 2, 3, 0]])) == pytest.approx(0.75)
