"""A pruned model, block by block: each is trained on what it takes by then to give what the dense model has there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import replace_constant
from graphprune.calibration.finished import FinishedLayer, FinishedLayers
from graphprune.calibration.moments import HELD, is_held
from graphprune.calibration.ranges import Feed
from graphprune.calibration.reconstruction.blocks import behind, into_blocks
from graphprune.calibration.reconstruction.training import Pair, train_block
from graphprune.calibration.streaming.steps import Step, as_model
from graphprune.calibration.streaming.stream import Stream
from graphprune.calibration.trial import relative_errors
from graphprune.diagnostics import Skip
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.graph.nodes import describe

_SEED = 0

Arrays = Mapping[str, np.ndarray]
Sample = TypeVar("Sample")


def part(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples to go by, and every fourth, which are held back from all that is fitted.

    Raises:
        InputError: There are fewer than four (GP595).
    """
    if len(samples) < HELD:
        message = f"blocks holds back one of {HELD} samples, and {len(samples)} are given"
        raise InputError(f"{message}; give more", code="GP595")
    seen = [sample for index, sample in enumerate(samples) if not is_held(index)]
    return seen, [sample for index, sample in enumerate(samples) if is_held(index)]


def reconstruct(  # noqa: PLR0913, PLR0917 - what a run has in hand
    dense: ir.Model,
    pruned: ir.Model,
    layers: Collection[ir.Node],
    feeds: Sequence[Feed],
    folder: Path,
    memory: int,
    finished: FinishedLayers | None = None,
    on_block: Callable[[int], None] | None = None,
) -> list[Skip]:
    """Train the blocks of a pruned model in place, from the first to the last.

    They stay trained if outputs then err less on the samples that are held back. Inputs and outputs of one block are in
    memory, for all samples.

    Args:
        dense: With the nodes that `pruned` has, in its order.
        pruned: Sorted, of known types.
        layers: Its nodes whose weights were pruned.
        feeds: All samples.
        folder: For activations that memory does not hold.
        memory: Bytes of activations that it does.
        finished: Blocks that an earlier run has trained are taken from there.
        on_block: Called with the number of layers of the blocks that are done.

    Returns:
        What was not trained, and why.
    """
    run = _Run(dense, pruned, layers, feeds, folder, memory, finished)
    before, saved = run.error(), {value: value.const_value for value in pruned.graph.initializers.values()}
    for done in run.blocks():
        if on_block:
            on_block(done)
    if (after := run.error()) >= before:
        for value, tensor in saved.items():
            value.const_value = tensor
        reason = f"outputs err by {after:.2%} on samples that were held back, by {before:.2%} without"
        run.skips.append(Skip("GP589", "blocks", reason))
    return run.skips


class _Run:
    """Samples in front of the same block of both models."""

    def __init__(
        self,
        dense: ir.Model,
        pruned: ir.Model,
        layers: Collection[ir.Node],
        feeds: Sequence[Feed],
        folder: Path,
        memory: int,
        finished: FinishedLayers | None,
    ) -> None:
        self._models, self._finished = (dense, pruned), finished
        _, self._held = part(feeds)
        twins = dict(zip(pruned.graph, dense.graph, strict=True))
        sides = (pruned, layers, "now"), (dense, [twins[node] for node in layers], "dense")
        self._now, self._dense = (
            Stream(model, nodes, feeds, _made(folder / name), memory // 2, into_blocks) for model, nodes, name in sides
        )
        self._moved = {str(value.name) for value in behind(pruned.graph, layers)}
        self.skips: list[Skip] = []

    def error(self) -> float:
        """Return the largest error of an output on samples that are held back."""
        return max(relative_errors(*self._models, self._held).values(), default=0.0)

    def blocks(self) -> Iterator[int]:
        """Train block after block; yields the number of layers behind."""
        done = 0
        stops = zip(self._now.steps[1:], self._dense.steps[1:], self._now.layers(), self._dense.layers(), strict=True)
        for step, twin, layers, _ in stops:
            for name, array in self._trained(step, twin).items():
                replace_constant(self._models[1].graph.initializers[name], np.asarray(array))
            done += len(layers)
            yield done

    def _trained(self, step: Step, twin: Step) -> Arrays:
        """The constants of a block, trained now or by an earlier run."""
        before = _constants(step)
        known = None if self._finished is None else _get(self._finished, step, before)
        if known is not None:
            return known
        found = {**before, **self._train(step, twin, before)}
        if self._finished is not None:
            for name, array in found.items():
                self._finished.put(_key(step, name), before[name], FinishedLayer(array, np.zeros(0), 0.0))
        return found

    def _train(self, step: Step, twin: Step, before: Arrays) -> Arrays:
        pairs = [
            Pair(taken, {name: array for name, array in given.items() if self._counts(name, array)})
            for taken, given in zip(self._now.taken(step), self._dense.results(twin), strict=True)
        ]
        try:
            return train_block(as_model(self._models[1], step), before, *part(pairs), _SEED)
        except UnsupportedModelError as error:
            self.skips.append(Skip(error.code or "", _key(step, "all"), error.message))
            return {}

    def _counts(self, name: str, array: np.ndarray) -> bool:
        return name in self._moved and array.dtype == np.float32


def _constants(step: Step) -> dict[str, np.ndarray]:
    """Those of float32 that nodes of a block read, and nobody else."""
    read = dict.fromkeys(value for node in step.nodes for value in node.inputs if value is not None)
    own = (value for value in read if all(node in step.nodes for node, _ in value.uses()))
    found = {value: value.const_value for value in own if value.is_initializer() and not value.is_graph_output()}
    return {
        str(value.name): tensor.numpy()
        for value, tensor in found.items()
        if tensor is not None and tensor.dtype == ir.DataType.FLOAT
    }


def _get(finished: FinishedLayers, step: Step, before: Arrays) -> Arrays | None:
    """The constants of a block that an earlier run has trained; None where it has not trained all."""
    known = {name: finished.get(_key(step, name), array) for name, array in before.items()}
    found = {name: layer.weight for name, layer in known.items() if layer is not None}
    return found if len(found) == len(before) else None


def _key(step: Step, what: str) -> str:
    return f"{what} of the block of {describe(step.layers[0])}"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
