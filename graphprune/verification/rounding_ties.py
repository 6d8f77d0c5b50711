"""Outputs behind values that are rounded to integers: held to what ties of rounding explain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.comparison import Difference, Tolerance
from graphprune.verification.computed import computed_outputs
from graphprune.verification.levels import SHARE
from graphprune.verification.noise import with_noise
from graphprune.verification.roundings import integers_of, roundings
from graphprune.verification.spread import Spread, Ties
from graphprune_runtime.interface import Session

_RUNS = 16
"""Beside 16 runs, a candidate of the same noise has the largest error of all in one case of 17."""

_FACTOR = 1.5
"""By which a candidate's errors may exceed the largest of all runs: docs/verify.md has what passes and fails by it."""

HoldToTies = Callable[[str, np.ndarray, np.ndarray, Difference], Difference]
"""Of an output by name, what is right and what is given: the difference, as passed if ties of rounding explain it."""


class RoundingTies:
    """What ties do to the outputs of a model that rounds activations to integers.

    Args:
        model: The reference.
        tolerance: Of floats, which comes on top.
    """

    def __init__(self, model: ir.Model, tolerance: Tolerance) -> None:
        self._model = model
        self._names = [value.name or "" for value in model.graph.outputs]
        self._sizes = _level_sizes(model)
        self._computed = computed_outputs(model)
        self._tolerance = tolerance

    @classmethod
    def of(cls, model: ir.Model | None, tolerance: Tolerance) -> RoundingTies | None:
        """Return the ties of a model; None where its graph is not known or rounds nothing."""
        return cls(model, tolerance) if model is not None and roundings(model) else None

    def on(self, feed: Mapping[str, np.ndarray]) -> HoldToTies:
        """Return the judge of the outputs of one case."""
        runs: list[list[np.ndarray]] = []
        return partial(self._hold, feed, runs)

    @cached_property
    def _session(self) -> Session:
        return session_for(with_noise(self._model), optimize=False)

    def _hold(
        self,
        feed: Mapping[str, np.ndarray],
        runs: list[list[np.ndarray]],
        name: str,
        expected: np.ndarray,
        actual: np.ndarray,
        difference: Difference,
    ) -> Difference:
        if not _are_comparable(expected, actual):
            return difference
        measure = partial(_measure, expected, is_graded=expected.dtype.kind == "f" or name in self._sizes)
        ties = Ties(measure(actual), Spread(), 0, self._levels(name, expected, actual))
        slack = self._slack(name, expected)
        for outputs in self._results(feed, runs):
            explained = ties.explained.and_(measure(outputs[self._names.index(name)]))
            ties = replace(ties, explained=explained, runs=ties.runs + 1)
            if ties.found.is_within(explained, _FACTOR, slack):
                break
        passed = ties.found.is_within(ties.explained, _FACTOR, slack) or self._is_one_level(name, expected, actual)
        return replace(difference, ties=ties, reason=None if passed else f"{difference.reason}: {ties}")

    def _results(self, feed: Mapping[str, np.ndarray], runs: list[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        """The runs of the case so far, and more as they are asked for."""
        for index in range(_RUNS):
            if index == len(runs):
                runs.append(self._session.run(None, feed))
            yield runs[index]

    def _levels(self, name: str, expected: np.ndarray, actual: np.ndarray) -> float | None:
        size = self._sizes.get(name)
        return None if size is None else Spread.of(expected, actual).largest / size

    def _is_one_level(self, name: str, expected: np.ndarray, actual: np.ndarray) -> bool:
        """Whether few elements of an output that is itself rounded differ, by one level: no run need show that."""
        levels = self._levels(name, expected, actual)
        few = max(1, SHARE * expected.size)
        return levels is not None and round(levels) <= 1 and int(np.count_nonzero(expected != actual)) <= few

    def _slack(self, name: str, expected: np.ndarray) -> float:
        """What the tolerance of floats allows the largest element."""
        if name in self._sizes or expected.dtype.kind != "f":
            return 0.0
        finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
        computed = self._computed[name].type_name(expected.dtype)
        rtol, atol = self._tolerance.resolve(computed, float(finite.max(initial=0.0)))
        return atol + rtol * float(finite.max(initial=0.0))


def _measure(expected: np.ndarray, actual: np.ndarray, *, is_graded: bool) -> Spread:
    """The errors of numbers; of indices, booleans and the like, which elements differ."""
    if actual.shape != expected.shape:
        return Spread()
    return Spread.of(expected, actual) if is_graded else Spread.of_choices(expected, actual)


def _are_comparable(expected: np.ndarray, actual: np.ndarray) -> bool:
    """Whether two arrays are of one shape and type, of numbers, and have NaN and infinities in the same places."""
    if (expected.shape, expected.dtype) != (actual.shape, actual.dtype) or expected.dtype.kind not in "fiub":
        return False
    if expected.dtype.kind != "f":
        return True
    strange = ~np.isfinite(expected) | ~np.isfinite(actual)
    return bool(np.array_equal(expected[strange], actual[strange], equal_nan=True))


def _level_sizes(model: ir.Model) -> dict[str, float]:
    """How much one level is, by output that is rounded to integers: one, or the scale that turns them into floats."""
    integers = set(integers_of(roundings(model)))
    sizes = {}
    for value in model.graph.outputs:
        node = value.producer()
        if value in integers:
            sizes[value.name or ""] = 1.0
        elif node is not None and node.op_type == "DequantizeLinear" and node.inputs[0] in integers:
            scale = None if node.inputs[1] is None else node.inputs[1].const_value
            if scale is not None and scale.size == 1:
                sizes[value.name or ""] = float(scale.numpy().item())
    return sizes
