"""Samples on their way through a model: stops in front of its layers, which may then be changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.streaming.activations import MEMORY, Activations
from graphprune.calibration.streaming.steps import Step, alone, as_model, cut


class Stream:
    """All samples, each as far in the model as the others.

    Nodes run once a sample, with the weights that they have by then. Sums are those of ONNX Runtime with its graph
    optimisations.
    """

    def __init__(
        self,
        model: ir.Model,
        layers: Collection[ir.Node],
        feeds: Sequence[Mapping[str, np.ndarray]],
        folder: Path,
        memory: int = MEMORY,
        into: Callable[[ir.Graph, Collection[ir.Node]], list[Step]] = cut,
    ) -> None:
        """Begin at the inputs of `model`, sorted and with known types, for nodes of its main graph.

        Args:
            model: The model.
            layers: What the samples stop in front of.
            feeds: The samples.
            folder: For activations that memory does not hold.
            memory: Bytes of activations that it does.
            into: Which steps there are between the stops.
        """
        self._model, self.steps = model, into(model.graph, layers)
        self._values = Activations(folder, memory)
        self._samples = range(len(feeds))
        for sample, feed in enumerate(feeds):
            for name in {name for step in self.steps for name in _names(step.reads)} & feed.keys():
                self._values.put(sample, name, feed[name])

    def layers(self) -> Iterator[tuple[ir.Node, ...]]:
        """Yield the layers in front of which the samples are; they run, changed or not, when the next are asked for."""
        for step, following in zip(self.steps, [*self.steps[1:], None], strict=True):
            if following is not None:
                self._run(step)
                yield following.layers

    def inputs(self, value: ir.Value) -> Iterator[np.ndarray]:
        """Yield what the value is on each sample: one that the layers read."""
        name = str(value.name)
        for sample in self._samples:
            yield self._values.get(sample, [name])[name]

    def outputs(self, node: ir.Node) -> Iterator[np.ndarray]:
        """Yield what a node in front of which the samples are makes of each sample, as it is by now."""
        return (next(iter(given.values())) for given in self.results(alone(self._model.graph, node)))

    def results(self, step: Step) -> Iterator[Mapping[str, np.ndarray]]:
        """Yield what a step in front of which the samples are gives on each sample, by name; they stay there."""
        names, session = _names(step.gives), session_for(as_model(self._model, step), os.cpu_count() or 1)
        for taken in self.taken(step):
            yield dict(zip(names, session.run(names, taken), strict=True))

    def taken(self, step: Step) -> Iterator[Mapping[str, np.ndarray]]:
        """Yield what such a step takes of each sample, by name."""
        return (self._values.get(sample, _names(step.reads)) for sample in self._samples)

    def _run(self, step: Step) -> None:
        names, reads, last = (_names(values) for values in (step.gives, step.reads, step.last))
        session = session_for(as_model(self._model, step), os.cpu_count() or 1) if names else None
        for sample in self._samples:
            results = [] if session is None else session.run(names, self._values.get(sample, reads))
            self._values.drop(sample, last)
            for name, array in zip(names, results, strict=True):
                self._values.put(sample, name, array)


def _names(values: Sequence[ir.Value]) -> list[str]:
    return [str(value.name) for value in values]
