"""The samples that a model is looked at with: the first ones that are given, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np

from graphprune.calibration.ranges import Feed
from graphprune.errors import InputError
from graphprune.verification.samples import feeds_of
from graphprune_runtime.interface import TensorInfo

SAMPLES = 128
"""Samples that are looked at, if there are as many."""


def take(samples: Iterable[Mapping[str, np.ndarray]], infos: Sequence[TensorInfo], most: int = SAMPLES) -> list[Feed]:
    """Return the first samples as feeds; those of a batch one by one, where the number of samples is open.

    Args:
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        infos: The inputs.
        most: How many there are in the end, at most.

    Raises:
        InputError: As `graphprune.verification.samples.feeds_of`.
    """
    return list(islice(chain.from_iterable(_singly(feed, infos) for feed in feeds_of(samples, infos)), most))


def check_varied(feeds: Sequence[Feed]) -> None:
    """Check that samples say something.

    Raises:
        InputError: Each input is one number in all of them (GP577).
    """
    first = {name: array.ravel()[:1] for name, array in feeds[0].items()}
    if all(bool(np.all(feed[name] == number)) for feed in feeds for name, number in first.items() if number.size):
        found = next((number.item() for number in first.values() if number.size), "nothing")
        raise InputError(f"the inputs are {found} everywhere in all samples, expected real ones", code="GP577")


def _singly(feed: Feed, infos: Sequence[TensorInfo]) -> Iterator[Feed]:
    extents = {info.shape[0] if info.shape else 0 for info in infos}
    counts = {len(feed[info.name]) for info in infos if info.shape}
    if len(extents) != 1 or len(counts) != 1 or any(isinstance(extent, int) for extent in extents):
        yield feed
        return
    for index in range(*counts):
        yield {name: array[index : index + 1] for name, array in feed.items()}
