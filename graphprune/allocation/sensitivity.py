"""What the outputs of a model err by when one of its weights is another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed

Array = npt.NDArray[Any]

_FEWEST, _MOST = 2, 16
"""Samples that are run for each weight."""

_OUTPUT_BYTES = 1 << 28
"""Of the dense outputs that are held, beyond the fewest samples."""


class Sensitivity:
    """A session that takes the weights beside the inputs, and what it gives for the dense ones."""

    def __init__(self, model: ir.Model, weights: Sequence[LinearWeight], feeds: Sequence[Feed]) -> None:
        """Run the dense model on the first samples, fewer where outputs are large; `model` stays as it is.

        Args:
            model: Dense.
            weights: Of its main graph, each read by one node.
            feeds: Samples.
        """
        self._session = session_for(_with_weights_as_inputs(model, weights), threads=0)
        self._weights = {weight.name: weight.tensor.numpy() for weight in weights}
        self._feeds: list[Feed] = []
        self._dense: list[list[Array]] = []
        for feed in feeds[:_MOST]:
            self._feeds.append(feed)
            self._dense.append(_floats(self._session.run(None, {**feed, **self._weights})))
            if len(self._feeds) >= _FEWEST and _nbytes(self._dense) > _OUTPUT_BYTES:
                break

    def error(self, weight: LinearWeight, array: Array) -> float:
        """Return the mean square of what outputs differ by over that of the outputs; the largest of all outputs."""
        changed = {**self._weights, weight.name: array}
        runs = [_floats(self._session.run(None, {**feed, **changed})) for feed in self._feeds]
        sides = (zip(*side, strict=True) for side in (self._dense, runs))
        return max(_relative(*output) for output in zip(*sides, strict=True))


def _relative(dense: Sequence[Array], found: Sequence[Array]) -> float:
    """The relative mean square of one output over samples."""
    pairs = [(one.astype(np.float64), two.astype(np.float64)) for one, two in zip(dense, found, strict=True)]
    wrong = sum(float(np.square(two - one).sum()) for one, two in pairs)
    whole = sum(float(np.square(one).sum()) for one, _ in pairs)
    return wrong / whole if whole else float(wrong > 0)


def _floats(outputs: Sequence[Array]) -> list[Array]:
    return [output for output in outputs if np.issubdtype(output.dtype, np.floating)]


def _nbytes(runs: Sequence[Sequence[Array]]) -> int:
    return sum(output.nbytes for run in runs for output in run)


def _with_weights_as_inputs(model: ir.Model, weights: Sequence[LinearWeight]) -> ir.Model:
    """A copy that takes each of the weights as an input of its name."""
    copy = model.clone()
    wanted = {weight.name for weight in weights}
    for weight in linear_weights(copy)[0]:
        if weight.name in wanted:
            given = ir.Value(name=weight.name, shape=ir.Shape(weight.shape), type=ir.TensorType(weight.tensor.dtype))
            _forget(weight.value, copy.graph, given)
            copy.graph.inputs.append(given)
    return copy


def _forget(constant: ir.Value, graph: ir.Graph, given: ir.Value) -> None:
    """Let readers of a constant read what is given, and take the constant out."""
    constant.replace_all_uses_with(given)
    node = constant.producer()
    if node is None:
        del graph.initializers[str(constant.name)]
    else:
        graph.remove(node)
