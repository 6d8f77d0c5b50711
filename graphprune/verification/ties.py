"""Indices of the best scores: where several are equally good, another order of sums picks others, or sorts them so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.verification.comparison import Tolerance
from graphprune.verification.computed import Computed, computed_values
from graphprune.verification.intermediate import run_with_outputs

_POSITIONS = {"ArgMax": 0, "ArgMin": 0, "TopK": 1, "NonMaxSuppression": 0}
"""Which output of an operator holds indices."""


@dataclass(frozen=True)
class Ranking:
    """An output that holds the indices of the best scores along an axis."""

    scores: ir.Value
    axis: int
    keepdims: bool
    is_list: bool
    computed: Computed

    def is_tie(
        self, model: ir.Model, feed: Mapping[str, np.ndarray], indices: tuple[np.ndarray, np.ndarray], given: Tolerance
    ) -> bool:
        """Return whether the scores of both sides' `indices`, in the reference `model`, are within the tolerance."""
        scores = _scores(self.scores, model, feed)
        if scores.dtype.kind in "iub":
            return False
        whole = [each if self.keepdims else np.expand_dims(each, self.axis) for each in indices]
        size = scores.shape[self.axis]
        if any(np.any((each < -size) | (each >= size)) for each in whole) or (self.is_list and self._repeats(whole[1])):
            return False
        expected, actual = (np.take_along_axis(scores, each, self.axis).astype(np.float64) for each in whole)
        return _are_alike(expected, actual, scores, self.computed, given)

    def _repeats(self, indices: np.ndarray) -> bool:
        return bool(np.any(np.diff(np.sort(indices, self.axis), axis=self.axis) == 0))


@dataclass(frozen=True)
class Selection:
    """An output of rows (sample, class, box), those of a class in the order of their scores."""

    scores: ir.Value
    computed: Computed

    def is_tie(
        self, model: ir.Model, feed: Mapping[str, np.ndarray], indices: tuple[np.ndarray, np.ndarray], given: Tolerance
    ) -> bool:
        """Return whether both sides have the same rows, in orders that differ by scores within the tolerance only."""
        first, second = indices
        same_rows = np.array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])
        if not same_rows or not np.array_equal(first[:, :2], second[:, :2]):
            return False
        scores = _scores(self.scores, model, feed)
        expected, actual = (scores[tuple(each.T)].astype(np.float64) for each in indices)
        return _are_alike(expected, actual, scores, self.computed, given)


def _scores(value: ir.Value, model: ir.Model, feed: Mapping[str, np.ndarray]) -> np.ndarray:
    name = value.name or ""
    return run_with_outputs(model, {name}, feed)[name]


def _are_alike(
    expected: np.ndarray, actual: np.ndarray, scores: np.ndarray, computed: Computed, given: Tolerance
) -> bool:
    """Return whether scores that were picked are within the tolerance of all of them."""
    largest = float(np.abs(scores[np.isfinite(scores)].astype(np.float64)).max(initial=0.0))
    rtol, atol = given.resolve(computed.type_name(scores.dtype), largest)
    return bool(np.all(np.abs(actual - expected) <= atol + rtol * np.abs(expected)))


def rankings(model: ir.Model | None) -> dict[str, Ranking | Selection]:
    """Return the outputs of the graph that an operator ranks, perhaps cast to another type, by name."""
    if model is None:
        return {}
    known = computed_values(model)
    found: dict[str, Ranking | Selection] = {}
    for output in model.graph.outputs:
        value = _uncast(output)
        node = value.producer()
        if node is not None and not node.domain and _POSITIONS.get(node.op_type) == value.index():
            found[output.name or ""] = _ranking(node, known)
    return found


def _ranking(node: ir.Node, known: Mapping[ir.Value, Computed]) -> Ranking | Selection:
    scores = node.inputs[1 if node.op_type == "NonMaxSuppression" else 0]
    assert scores is not None  # the operator needs it
    computed = known.get(scores, Computed())
    if node.op_type == "NonMaxSuppression":
        return Selection(scores, computed)
    is_list = node.op_type == "TopK"
    axis = node.attributes.get_int("axis", -1 if is_list else 0)
    keepdims = is_list or bool(node.attributes.get_int("keepdims", 1))
    return Ranking(scores, axis, keepdims, is_list, computed)


def _uncast(value: ir.Value) -> ir.Value:
    node = value.producer()
    while node is not None and node.op_type in {"Cast", "Identity"} and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
