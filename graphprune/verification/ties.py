"""Indices of the best scores, where several are equally good: another order of summation picks another of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.verification.comparison import Tolerance
from graphprune.verification.computed import Computed, computed_values
from graphprune.verification.intermediate import run_with_outputs

_POSITIONS = {"ArgMax": 0, "ArgMin": 0, "TopK": 1}
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
        scores = run_with_outputs(model, {self.scores.name or ""}, feed)[self.scores.name or ""]
        if scores.dtype.kind in "iub":
            return False
        whole = [each if self.keepdims else np.expand_dims(each, self.axis) for each in indices]
        size = scores.shape[self.axis]
        if any(np.any((each < -size) | (each >= size)) for each in whole) or (self.is_list and self._repeats(whole[1])):
            return False
        expected, actual = (np.take_along_axis(scores, each, self.axis).astype(np.float64) for each in whole)
        largest = float(np.abs(scores[np.isfinite(scores)].astype(np.float64)).max(initial=0.0))
        rtol, atol = given.resolve(self.computed.type_name(scores.dtype), largest)
        return bool(np.all(np.abs(actual - expected) <= atol + rtol * np.abs(expected)))

    def _repeats(self, indices: np.ndarray) -> bool:
        return bool(np.any(np.diff(np.sort(indices, self.axis), axis=self.axis) == 0))


def rankings(model: ir.Model | None) -> dict[str, Ranking]:
    """Return the outputs of the graph that an operator ranks, perhaps cast to another type, by name."""
    if model is None:
        return {}
    known = computed_values(model)
    found = {}
    for output in model.graph.outputs:
        value = _uncast(output)
        node = value.producer()
        if node is None or node.domain or _POSITIONS.get(node.op_type) != value.index():
            continue
        scores, is_list = node.inputs[0], node.op_type == "TopK"
        assert scores is not None  # the operator needs it
        axis = node.attributes.get_int("axis", -1 if is_list else 0)
        keepdims = is_list or bool(node.attributes.get_int("keepdims", 1))
        found[output.name or ""] = Ranking(scores, axis, keepdims, is_list, known.get(scores, Computed()))
    return found


def _uncast(value: ir.Value) -> ir.Value:
    node = value.producer()
    while node is not None and node.op_type in {"Cast", "Identity"} and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
