"""A model on integers of 8 bits, from samples: ranges, the pass that quantizes, and what it costs in accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import tensor_infos
from graphprune.calibration.ranges import Feed, Method, calibrate, check_outputs
from graphprune.calibration.repairs import repaired
from graphprune.calibration.samples import SAMPLES, take
from graphprune.calibration.trial import MEASURED, Trial
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.passes.normalize import normalize
from graphprune.passes.quantize import name_apart


@dataclass(frozen=True)
class QuantizeResult:
    """What came of it.

    Attributes:
        model: The quantized model.
        rewrites: The nodes that compute with integers of 8 bits.
        repairs: What was done beforehand so that less is lost.
        skips: The nodes that could, and why they do not.
        samples: How many samples were looked at.
        errors: By output, the root of the mean square of its error over that of its values, on some of the samples.
    """

    model: ir.Model
    rewrites: tuple[Rewrite, ...]
    repairs: tuple[Rewrite, ...]
    skips: tuple[Skip, ...]
    samples: int
    errors: dict[str, float]


def quantize(  # noqa: PLR0913 - one argument an option
    model: ir.Model,
    samples: Iterable[Mapping[str, np.ndarray]],
    *,
    method: str = Method.MINMAX,
    keep: Sequence[str] = (),
    max_error: float | None = None,
    repair: bool = True,
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
        repair: Whether to try what makes integers lose less (see `graphprune.calibration.repairs`), and do what lowers
            the error.
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
    name_apart(model.graph)
    infos = tensor_infos(model.graph.inputs)
    feeds = take(samples, infos, most_samples)
    ranges = calibrate(model, _counted(feeds, on_sample), method)
    check_outputs(model, feeds[:MEASURED])
    found = Trial(model, model, ranges, feeds, method).without(tuple(keep))
    found = repaired(found) if repair else found
    found = found if max_error is None else found.within(max_error)
    made = found.result
    return QuantizeResult(made.model, found.on_integers, found.repairs, made.skips, len(feeds), found.errors)


def _counted(feeds: Sequence[Feed], on_sample: Callable[[int], None] | None) -> Iterator[Feed]:
    for number, feed in enumerate(feeds, 1):
        yield feed
        if on_sample:
            on_sample(number)
