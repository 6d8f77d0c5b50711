"""A model on integers of 8 bits, from samples: ranges, the pass that quantizes, and what it costs in accuracy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.budget import fewest, rank_by_damage
from graphprune.calibration.ranges import Feed, Method, calibrate, check_outputs
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.passes.base import PassResult, run_pass
from graphprune.passes.normalize import normalize
from graphprune.passes.quantize import Quantize, Range
from graphprune.verification.samples import feeds_of
from graphprune_runtime.interface import TensorInfo

SAMPLES = 128
"""Samples that are looked at, if there are as many."""

MEASURED = 16
"""Samples of these on which the damage is measured."""


_TOO_MUCH = "adds more error than the outputs may have"


@dataclass(frozen=True)
class QuantizeResult:
    """What came of it.

    Attributes:
        model: The quantized model.
        rewrites: The nodes that compute with integers of 8 bits.
        skips: The nodes that could, and why they do not.
        samples: How many samples were looked at.
        errors: By output, the root of the mean square of its error over that of its values, on some of the samples.
    """

    model: ir.Model
    rewrites: tuple[Rewrite, ...]
    skips: tuple[Skip, ...]
    samples: int
    errors: dict[str, float]


def quantize(
    model: ir.Model,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    method: str = Method.MINMAX,
    keep: Sequence[str] = (),
    max_error: float | None = None,
    most_samples: int = SAMPLES,
    on_sample: Callable[[int], None] | None = None,
) -> QuantizeResult:
    """Quantize a dense or pruned model, which stays untouched; zeros of its weights stay zeros.

    Args:
        model: What `graphprune.load` returned.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        method: How ranges are taken: minmax, entropy or percentile.
        keep: Names of nodes that stay in float32.
        max_error: What no output may err by (see `QuantizeResult.errors`): as few more nodes stay in float32 as that
            takes, those that add the most error.
        most_samples: How many samples are looked at.
        on_sample: Called with the number of samples that were looked at.

    Raises:
        InputError: As `calibrate`, of samples that do not fit (GP512 to GP515, GP567 to GP569), GP396, and a budget
            that is no share (GP579).
        PreconditionError: The model is masked or packed (GP255).
    """
    if max_error is not None and not 0 <= max_error < math.inf:
        raise InputError(f"max_error is {max_error}, expected a share such as 0.01", code="GP579")
    model = normalize(model).model
    infos = tensor_infos(model.graph.inputs)
    given = itertools.chain.from_iterable(_singly(feed, infos) for feed in feeds_of(samples, infos))
    feeds = list(itertools.islice(given, most_samples))
    ranges = calibrate(model, _counted(feeds, on_sample), method)
    check_outputs(model, feeds[:MEASURED])
    found = _Quantizing(model, ranges, feeds).within(tuple(keep), max_error)
    return QuantizeResult(found.result.model, found.result.rewrites, found.result.skips, len(feeds), found.errors)


@dataclass(frozen=True)
class _Found:
    result: PassResult
    errors: dict[str, float]

    def is_within(self, limit: float | None) -> bool:
        return limit is None or max(self.errors.values(), default=0.0) <= limit


@dataclass(frozen=True)
class _Quantizing:
    """A model that is quantized in one way or another."""

    model: ir.Model
    ranges: tuple[Range, ...]
    feeds: Sequence[Feed]

    def without(self, keep: tuple[str, ...]) -> _Found:
        """Quantize all but these nodes."""
        result = run_pass(Quantize(ranges=self.ranges, keep=keep), self.model)
        return _Found(result, relative_errors(self.model, result.model, self.feeds[:MEASURED]))

    def within(self, keep: tuple[str, ...], limit: float | None) -> _Found:
        """Quantize all but these and as few others as the error of the outputs takes."""
        whole = self.without(keep)
        if whole.is_within(limit):
            return whole
        names = [each.node for each in whole.result.rewrites]
        ranked = rank_by_damage(self.model, whole.result.model, names, self.feeds)
        more = fewest(ranked, lambda chosen: self.without((*keep, *chosen)).is_within(limit))
        found = self.without((*keep, *more))
        skips = (replace(skip, reason=_TOO_MUCH) if skip.node in more else skip for skip in found.result.skips)
        return replace(found, result=replace(found.result, skips=tuple(skips)))


def relative_errors(model: ir.Model, other: ir.Model, feeds: Iterable[Feed]) -> dict[str, float]:
    """By output of numbers, the root of the mean square of the difference, over that of the first model's values."""
    sides = [session_for(each, optimize=False) for each in (model, other)]
    runs = [[side.run(None, feed) for side in sides] for feed in feeds]
    found = {}
    for index, info in enumerate(sides[0].get_outputs()):
        if not np.issubdtype(info.dtype, np.number):
            continue
        pairs = [(one[index].astype(np.float64), two[index].astype(np.float64)) for one, two in runs]
        wrong = sum(float(np.sum(np.square(two - one))) for one, two in pairs)
        whole = sum(float(np.sum(np.square(one))) for one, _ in pairs)
        found[info.name] = math.sqrt(wrong / whole) if whole else float(wrong > 0)
    return found


def _singly(feed: Feed, infos: Sequence[TensorInfo]) -> Iterator[Feed]:
    """The samples of a batch one by one, where the number of samples is open."""
    extents = {info.shape[0] if info.shape else 0 for info in infos}
    counts = {len(feed[info.name]) for info in infos if info.shape}
    if len(extents) != 1 or len(counts) != 1 or any(isinstance(extent, int) for extent in extents):
        yield feed
        return
    for index in range(*counts):
        yield {name: array[index : index + 1] for name, array in feed.items()}


def _counted(feeds: Sequence[Feed], on_sample: Callable[[int], None] | None) -> Iterator[Feed]:
    for number, feed in enumerate(feeds, 1):
        yield feed
        if on_sample:
            on_sample(number)
