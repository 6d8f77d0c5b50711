"""Orders of input channels in which an N:M pattern keeps more magnitude, or runs of zeros are more.

A pattern that keeps the `keep` largest of every `of` neighbouring channels keeps more where large ones are not
neighbours, and the order of channels is free. As in Pool and Yu, "Channel Permutations for N:M Sparsity" (NeurIPS
2021), groups swap single channels greedily. Here groups meet as teams of a tournament do: in a round each group meets
one other, and the two make the best of all swaps between them, if it gains anything. A round is one array operation,
no swap is judged by what another one has changed since, and in a tournament every pair meets once.

What a swap gains is cheap to say. Let t be the `keep`-th largest score of a group without its channel i, on one line:
with x in the place of i the group keeps max(x, t) instead of max(i, t).

Where whole groups of a line stay or go (`block 1x4`), a budget says how many stay. In the form of Lagrange each that
stays costs a price, here 1, and is worth the sum of its scores: one is kept where that is more, and gains
max(sum - 1, 0). Of scores that are 0 or 1 that is the number of ones less the number of groups that hold any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphprune.masks.patterns import NM
from graphprune.masks.selection import Scores

IntArray = npt.NDArray[np.int64]

_WORK = 1 << 33
"""Scores that are compared at most: some eight seconds on one core."""
_CHUNK = 1 << 16  # scores of one channel of the groups that meet at once: these stay in cache
_LEAST_GAIN = 1e-6  # of what two groups keep: less may be rounding


@dataclass(frozen=True)
class Permutation:
    """An order of channels.

    Attributes:
        order: The channel that comes to each place, int64 [channels].
        before: The sum of the scores that the pattern keeps in the given order.
        after: The same in this order.
    """

    order: IntArray
    before: float
    after: float


def find_permutation(scores: Scores, pattern: NM) -> Permutation:
    """Find an order of channels in which `pattern` keeps a larger sum of scores; the given one if there is none.

    The same scores give the same order. The work is bounded: where it does not end the search, no swap of two
    channels gains anything in the order that is found.

    Args:
        scores: What each weight is worth, finite and not negative, float32 [lines, channels]. Lines are all outputs and
            positions of all weights that read the channels.
        pattern: Of consecutive channels. The last group may have fewer; it stays that small.
    """
    return _found(scores, _LargestOfGroups(scores, pattern), lambda ordered: kept_sum(ordered, pattern))


def find_runs(scores: Scores, length: int) -> Permutation:
    """Find an order in which the runs of `length` channels, each of one line, are worth more; see above.

    Args:
        scores: Finite and not negative, float32 [lines, channels]; a run whose sum is at most 1 goes.
        length: Of a run. The last one of a line may be shorter; it stays that short.
    """
    return _found(scores, _Runs(scores, length), lambda ordered: worth_of_runs(ordered, length))


def _found(scores: Scores, groups: _Groups, worth: Callable[[Scores], float]) -> Permutation:
    channels = scores.shape[1]
    before = worth(scores)
    groups.play()
    order = groups.members[groups.members < channels]
    after = worth(scores[:, order])
    if after <= before:
        return Permutation(np.arange(channels), before, before)
    return Permutation(order, before, after)


def worth_of_runs(scores: Scores, length: int) -> float:
    """Return the sum of what the runs of each line are worth beyond the price of 1."""
    padded = _padded(scores, length)
    return float(_worth(padded.reshape(len(padded), -1, length).sum(axis=2)).sum(dtype=np.float64))


def kept_sum(scores: Scores, pattern: NM) -> float:
    """Return the sum of the scores, float32 [lines, channels], that a pattern keeps."""
    padded = _padded(scores, pattern.of)
    groups = padded.reshape(len(padded), padded.shape[1] // pattern.of, pattern.of)
    largest = np.partition(groups, pattern.of - pattern.keep, axis=2)[..., pattern.of - pattern.keep :]
    return float(largest.sum(dtype=np.float64))


def _padded(scores: Scores, size: int) -> Scores:
    """Fill the last group with channels that are worth nothing."""
    return np.pad(scores, ((0, 0), (0, -scores.shape[1] % size)))


def _worth(sums: Scores) -> Scores:
    """What whole groups with these sums are worth beyond their price."""
    return np.maximum(sums - 1, 0)


class _Groups(ABC):
    """The groups of channels while they swap.

    Attributes:
        members: The channel at each place, int64 [groups, size]; from the number of channels on they are padding.
        scores: Of the channel at each place, float32 [groups, size, lines].
    """

    def __init__(self, scores: Scores, size: int) -> None:
        padded = _padded(scores, size)
        self.members = np.arange(padded.shape[1]).reshape(-1, size)
        self.scores = np.array(padded.T, order="C").reshape(*self.members.shape, len(scores))
        self._channels = scores.shape[1]
        self.update(np.arange(len(self.members)))

    @abstractmethod
    def update(self, groups: IntArray) -> None:
        """Follow what has changed in these groups."""

    @abstractmethod
    def kept(self, ones: IntArray, others: IntArray) -> Scores:
        """Return what both groups of each pair are worth, in the sense of their gains, [pairs]."""

    @abstractmethod
    def gains(self, ones: IntArray, others: IntArray) -> Scores:
        """Return what each swap gains, [pairs, size, size]."""

    def play(self) -> None:
        """Hold tournaments until one changes nothing or the work is done."""
        left = _WORK
        swaps = -1
        while swaps:
            swaps = 0
            for ones, others in _rounds(len(self.members)):
                left -= 2 * self.scores[ones].size * self.members.shape[1]
                if left < 0:
                    return
                swaps += self._meet(ones, others)

    def _meet(self, ones: IntArray, others: IntArray) -> int:
        """Let each of `ones` make the best swap with its partner; return how many gain by it."""
        size = max(1, _CHUNK // max(1, self.scores.shape[2]))
        parts = [slice(start, start + size) for start in range(0, len(ones), size)]
        return sum(self._swap(ones[part], others[part]) for part in parts)

    def _swap(self, ones: IntArray, others: IntArray) -> int:
        real = self.members < self._channels
        is_real = real[ones][:, :, None] & real[others][:, None, :]
        gains = np.where(is_real, self.gains(ones, others), -np.inf).reshape(len(ones), -1)
        best = gains.argmax(axis=1)
        better = gains[np.arange(len(ones)), best] > _LEAST_GAIN * self.kept(ones, others)
        ones, others = ones[better], others[better]
        i, j = np.divmod(best[better], self.members.shape[1])
        for array in (self.members, self.scores):
            array[ones, i], array[others, j] = array[others, j], array[ones, i]
        self.update(np.concatenate([ones, others]))
        return len(ones)


class _LargestOfGroups(_Groups):
    """Groups of which the largest few stay."""

    def __init__(self, scores: Scores, pattern: NM) -> None:
        self._keep = pattern.keep
        shape = (-(-scores.shape[1] // pattern.of), pattern.of)
        self._thresholds = np.empty((*shape, len(scores)), np.float32)
        self._own = np.empty(shape, np.float32)
        super().__init__(scores, pattern.of)

    def kept(self, ones: IntArray, others: IntArray) -> Scores:
        """Return the sums over channels and lines of the larger of each score and its threshold."""
        kept: Scores = self._own[ones].sum(axis=1) + self._own[others].sum(axis=1)
        return kept

    def gains(self, ones: IntArray, others: IntArray) -> Scores:
        """Return what the groups keep more of."""
        gains: Scores = -(self._own[ones][:, :, None] + self._own[others][:, None, :])
        left, right = self.scores[ones], self.scores[others]
        left_at, right_at = self._thresholds[ones], self._thresholds[others]
        for place in range(gains.shape[1]):
            gains[:, :, place] += np.maximum(left_at, right[:, [place]]).sum(axis=2)
            gains[:, place, :] += np.maximum(right_at, left[:, [place]]).sum(axis=2)
        return gains

    def update(self, groups: IntArray) -> None:
        """Compute thresholds again, and the sums over lines of the larger of each score and its threshold."""
        scores = self.scores[groups]
        ranked = _ranked([scores[:, place] for place in range(scores.shape[1])])
        last, next_ = ranked[self._keep - 1][:, None], ranked[self._keep][:, None]
        self._thresholds[groups] = np.where(scores >= last, next_, last)
        self._own[groups] = np.maximum(scores, self._thresholds[groups]).sum(axis=2)


class _Runs(_Groups):
    """Groups that stay as a whole or go, line by line."""

    def __init__(self, scores: Scores, length: int) -> None:
        self._sums = np.empty((-(-scores.shape[1] // length), len(scores)), np.float32)
        super().__init__(scores, length)

    def kept(self, ones: IntArray, others: IntArray) -> Scores:
        """Return the sums of the scores."""
        kept: Scores = self._sums[ones].sum(axis=1) + self._sums[others].sum(axis=1)
        return kept

    def gains(self, ones: IntArray, others: IntArray) -> Scores:
        """Return what the runs are worth more."""
        left, right = self.scores[ones], self.scores[others]
        without_left, without_right = self._sums[ones][:, None] - left, self._sums[others][:, None] - right
        own = _worth(self._sums[ones]).sum(axis=1) + _worth(self._sums[others]).sum(axis=1)
        size = left.shape[1]
        gains: Scores = np.repeat(-own, size * size).reshape(-1, size, size)
        for place in range(size):
            gains[:, :, place] += _worth(without_left + right[:, [place]]).sum(axis=2)
            gains[:, place, :] += _worth(without_right + left[:, [place]]).sum(axis=2)
        return gains

    def update(self, groups: IntArray) -> None:
        """Compute the sums again."""
        self._sums[groups] = self.scores[groups].sum(axis=1)


def _ranked(scores: list[Scores]) -> list[Scores]:
    """Sort arrays element by element, the largest first, by odd-even transposition: faster than `sort` for a few."""
    for phase in range(len(scores)):
        for place in range(phase % 2, len(scores) - 1, 2):
            one, other = scores[place : place + 2]
            scores[place : place + 2] = np.maximum(one, other), np.minimum(one, other)
    return scores


def _rounds(count: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield who meets whom until each of `count` groups has met every other once: one stays, the rest turn."""
    places = np.arange(count + count % 2)
    for _ in range(places.size - 1):
        ones, others = places[: places.size // 2], places[places.size // 2 :][::-1]
        real = (ones < count) & (others < count)
        yield ones[real], others[real]
        places = np.concatenate([places[:1], np.roll(places[1:], 1)])
