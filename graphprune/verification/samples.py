"""Samples that are given: arrays by input name, one sample or several stacked, as feeds of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from graphprune.errors import InputError
from graphprune_runtime.interface import TensorInfo, check_feed


def feeds_of(
    samples: Iterable[Mapping[str, np.ndarray]], infos: Sequence[TensorInfo]
) -> Iterator[dict[str, np.ndarray]]:
    """Yield what a session runs of each sample; those that are stacked one after another.

    Samples are stacked along a first axis that the input does not have, or along a first axis of a fixed extent, of
    which there are several. An array that is not stacked goes with each sample of the others.

    Args:
        samples: Arrays by input name.
        infos: The inputs.

    Raises:
        InputError: Samples are no mapping (GP568), an input is missing, unknown or of another type or shape (GP512 to
            GP515), two inputs are stacked of different numbers of samples (GP569), or there is no sample (GP567).
    """
    found = False
    for arrays in samples:
        for feed in _unstacked(arrays, infos):
            found = True
            yield feed
    if not found:
        raise InputError("the inputs given hold no sample, expected at least one", code="GP567")


def _unstacked(arrays: Mapping[str, np.ndarray], infos: Sequence[TensorInfo]) -> Iterator[dict[str, np.ndarray]]:
    if not isinstance(arrays, Mapping):
        raise InputError(f"a sample is a {type(arrays).__name__}, expected arrays by input name", code="GP568")
    known = {info.name: info for info in infos}
    found = {name: _stack(known[name], array) for name, array in arrays.items() if name in known}
    stacks = {name: stack for name, stack in found.items() if stack is not None}
    counts = {name: len(stack) for name, stack in stacks.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"inputs hold different numbers of samples: {counts}", code="GP569")
    for index in range(next(iter(counts.values()), 1)):
        feed = {name: stacks[name][index] if name in stacks else array for name, array in arrays.items()}
        check_feed(infos, feed)
        yield feed


def _stack(info: TensorInfo, array: object) -> Sequence[np.ndarray] | None:
    """The samples in an array that holds several, else None; what does not fit is left for the check of the feed."""
    if not isinstance(array, np.ndarray):
        return None
    if array.ndim == len(info.shape) + 1:
        return [np.asarray(each) for each in array]
    first = info.shape[0] if array.ndim and array.ndim == len(info.shape) else None
    if not isinstance(first, int) or first < 1 or len(array) <= first or len(array) % first:
        return None
    return np.split(array, len(array) // first)
