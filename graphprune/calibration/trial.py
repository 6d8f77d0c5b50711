"""One way to quantize a model, and what outputs err by then."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.budget import fewest, rank_by_damage
from graphprune.calibration.ranges import Feed
from graphprune.diagnostics import Rewrite
from graphprune.passes.base import PassResult, run_pass
from graphprune.passes.quantize import ON_INTEGERS, Correction, Quantize, Range

MEASURED = 16
"""Samples on which the damage is measured, if there are as many."""

_TOO_MUCH = "adds more error than the outputs may have"


@dataclass(frozen=True)
class Trial:
    """What is quantized, and how.

    Attributes:
        exact: The model that outputs are compared with.
        model: What is quantized: the same function, perhaps in other numbers.
        ranges: Of its values.
        feeds: The samples.
        method: How ranges are taken from them.
        equalized: What was done to the model so that less is lost.
        corrections: Of its biases.
    """

    exact: ir.Model
    model: ir.Model
    ranges: tuple[Range, ...]
    feeds: Sequence[Feed]
    method: str
    equalized: tuple[Rewrite, ...] = ()
    corrections: tuple[Correction, ...] = ()

    def without(self, keep: tuple[str, ...]) -> Quantized:
        """Quantize all but these nodes."""
        result = run_pass(Quantize(self.ranges, keep, self.corrections), self.model)
        return Quantized(self, keep, result, relative_errors(self.exact, result.model, self.feeds[:MEASURED]))


@dataclass(frozen=True)
class Quantized:
    """What came of a trial.

    Attributes:
        trial: The trial.
        keep: Names of the nodes that were to stay in float32.
        result: Of the pass.
        errors: See `relative_errors`.
    """

    trial: Trial
    keep: tuple[str, ...]
    result: PassResult
    errors: dict[str, float]

    @property
    def error(self) -> float:
        """The largest one."""
        return max(self.errors.values(), default=0.0)

    @property
    def on_integers(self) -> tuple[Rewrite, ...]:
        """The nodes that compute with integers."""
        return tuple(each for each in self.result.rewrites if each.rule == ON_INTEGERS)

    @property
    def repairs(self) -> tuple[Rewrite, ...]:
        """What was done so that less is lost."""
        return (*self.trial.equalized, *(each for each in self.result.rewrites if each.rule != ON_INTEGERS))

    def within(self, limit: float) -> Quantized:
        """Leave as few other nodes in float32 as it takes for no output to err by more."""
        if self.error <= limit:
            return self
        names = [each.node for each in self.on_integers]
        ranked = rank_by_damage(self.trial.model, self.result.model, names, self.trial.feeds)
        more = fewest(ranked, lambda chosen: self.trial.without((*self.keep, *chosen)).error <= limit)
        found = self.trial.without((*self.keep, *more))
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
