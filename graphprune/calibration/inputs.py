"""What the layers of a model multiply on samples: behind layers as they are by then, and in the dense model."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphprune.analysis.weights import LinearWeight
from graphprune.calibration.moments import DriftMoments, InputMoments, gather, gather_drift
from graphprune.calibration.streaming.columns import columns, how_multiplied, multiplied
from graphprune.calibration.streaming.stream import Stream
from graphprune.graph.nodes import describe


@dataclass(frozen=True)
class Wanted:
    """What is summed up of what layers multiply.

    Attributes:
        products: Whether second moments of any two inputs are.
        dense: Whether the samples go through the dense model too.
        held: Whether samples that are held back are summed up for themselves too.
    """

    products: bool = False
    dense: bool = False
    held: bool = False


class LayerInputs:
    """Samples in front of the layers of a model, stop by stop.

    What a stop has summed up is kept for its next layer, as layers often multiply the same.
    """

    def __init__(
        self,
        model: ir.Model,
        layers: Collection[ir.Node],
        feeds: Sequence[Mapping[str, np.ndarray]],
        folder: Path,
        memory: int,
        wanted: Wanted,
    ) -> None:
        """Begin at the inputs of a model that is sorted, of known types and still dense.

        Args:
            model: Its layers may be changed at the stops.
            layers: Nodes of its main graph.
            feeds: The samples.
            folder: For activations that memory does not hold.
            memory: Bytes of activations that it does.
            wanted: What is asked for later.
        """
        self._wanted = wanted
        self._seen: dict[Hashable, list[InputMoments]] = {}
        self._drifts: dict[Hashable, list[DriftMoments]] = {}
        self._dense: Stream | None = None
        if wanted.dense:
            memory //= 2
            other = model.clone()
            self._before = dict(zip(_values(model), _values(other), strict=True))
            twins = [twin for node in layers if (twin := self._before[node.outputs[0]].producer()) is not None]
            self._dense = Stream(other, twins, feeds, _made(folder / "b"), memory)
        self._stream = Stream(model, layers, feeds, _made(folder / "a"), memory)

    def stops(self) -> Iterator[tuple[ir.Node, ...]]:
        """Yield the layers in front of which the samples are, as `Stream.layers`."""
        dense = None if self._dense is None else self._dense.layers()
        for nodes in self._stream.layers():
            if dense is not None:
                next(dense)
            yield nodes

    def moments(self, weight: LinearWeight) -> list[InputMoments]:
        """Return those of what a weight at this stop multiplies, for each of its groups.

        Raises:
            InputError: GP581.
        """
        value, key = multiplied(weight), _key(weight)
        if key not in self._seen:
            matrices = (columns(weight, array) for array in self._stream.inputs(value))
            where = f"weight '{weight.name}', {describe(weight.node)}"
            self._seen = {key: gather(matrices, where, products=self._wanted.products, held=self._wanted.held)}
        return self._seen[key]

    def drifts(self, weight: LinearWeight) -> list[DriftMoments] | None:
        """Return how that differs from the dense model, None where it was not asked for."""
        if self._dense is None:
            return None
        value, key = multiplied(weight), _key(weight)
        if key not in self._drifts:
            streams = self._dense.inputs(self._before[value]), self._stream.inputs(value)
            sides = ((columns(weight, each) for each in stream) for stream in streams)
            self._drifts = {key: gather_drift(*sides, held=self._wanted.held)}
        return self._drifts[key]

    def outputs(self, node: ir.Node) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what a node at this stop makes of each sample by now, and what it makes of it in the dense model."""
        assert self._dense is not None, "it was not asked for"
        twin = self._before[node.outputs[0]].producer()
        assert twin is not None, "a node makes it"
        return zip(self._stream.outputs(node), self._dense.outputs(twin), strict=True)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """The inputs, and what nodes make, in an order that clones have too."""
    yield from model.graph.inputs
    for node in model.graph:
        yield from node.outputs


def _key(weight: LinearWeight) -> Hashable:
    return multiplied(weight), how_multiplied(weight)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
