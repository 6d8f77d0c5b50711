"""A model on integers of 8 bits, from samples: ranges, the pass that quantizes, and what it costs in accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed, Method, calibrate, check_outputs
from graphprune.diagnostics import Rewrite, Skip
from graphprune.passes.base import run_pass
from graphprune.passes.normalize import normalize
from graphprune.passes.quantize import Quantize
from graphprune.verification.samples import feeds_of
from graphprune_runtime.interface import TensorInfo

SAMPLES = 128
"""Samples that are looked at, if there are as many."""

MEASURED = 16
"""Samples of these on which the damage is measured."""


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
    most_samples: int = SAMPLES,
    on_sample: Callable[[int], None] | None = None,
) -> QuantizeResult:
    """Quantize a dense or pruned model, which stays untouched; zeros of its weights stay zeros.

    Args:
        model: What `graphprune.load` returned.
        samples: Arrays by input name, one sample at a time or several stacked along the first axis.
        method: How ranges are taken: minmax, entropy or percentile.
        keep: Names of nodes that stay in float32.
        most_samples: How many samples are looked at.
        on_sample: Called with the number of samples that were looked at.

    Raises:
        InputError: As `calibrate`, of samples that do not fit (GP512 to GP515, GP567 to GP569), and GP396.
        PreconditionError: The model is masked or packed (GP255).
    """
    model = normalize(model).model
    infos = tensor_infos(model.graph.inputs)
    given = itertools.chain.from_iterable(_singly(feed, infos) for feed in feeds_of(samples, infos))
    feeds = list(itertools.islice(given, most_samples))
    ranges = calibrate(model, _counted(feeds, on_sample), method)
    check_outputs(model, feeds[:MEASURED])
    result = run_pass(Quantize(ranges=ranges, keep=tuple(keep)), model)
    errors = relative_errors(model, result.model, feeds[:MEASURED])
    return QuantizeResult(result.model, result.rewrites, result.skips, len(feeds), errors)


def relative_errors(model: ir.Model, other: ir.Model, feeds: Iterable[Feed]) -> dict[str, float]:
    """By output, the root of the mean square of the difference, over that of the first model's values."""
    sides = [session_for(each, optimize=False) for each in (model, other)]
    runs = [[side.run(None, feed) for side in sides] for feed in feeds]
    found = {}
    for index, info in enumerate(sides[0].get_outputs()):
        pairs = [(one[index].astype(np.float64), two[index].astype(np.float64)) for one, two in runs]
        error, size = (sum(float(np.sum(np.square(each))) for each in all_) for all_ in _differences(pairs))
        found[info.name] = float(np.sqrt(error / size)) if size else float(error > 0)
    return found


def _differences(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [two - one for one, two in pairs], [one for one, _ in pairs]


def _singly(feed: Feed, infos: Sequence[TensorInfo]) -> Iterator[Feed]:
    """The samples of a batch one by one, where the number of samples is open."""
    extents = {info.shape[0] if info.shape else None for info in infos}
    if len(extents) != 1 or not all(isinstance(extent, str) for extent in extents):
        yield feed
        return
    for index in range(len(feed[infos[0].name])):
        yield {name: array[index : index + 1] for name, array in feed.items()}


def _counted(feeds: Sequence[Feed], on_sample: Callable[[int], None] | None) -> Iterator[Feed]:
    for number, feed in enumerate(feeds, 1):
        yield feed
        if on_sample:
            on_sample(number)
