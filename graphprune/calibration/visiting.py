"""Samples go through a model once, and each of its layers is pruned when they are in front of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from types import ModuleType
from typing import Any

from graphprune.calibration.finished import FinishedLayers, digest
from graphprune.calibration.inputs import LayerInputs, Wanted
from graphprune.calibration.pruner import Pruner, PruneResult
from graphprune.calibration.ranges import Feed
from graphprune.calibration.repair import Repair
from graphprune.errors import torch_is_missing
from graphprune.files import work_folder
from graphprune.masks.refinement import Refinement
from graphprune.planning.pruning_plan import PruningPlan

_BY_DENSE = frozenset({Repair.DRIFT, Repair.BATCH_NORM})
"""What goes by samples behind dense layers."""


def visit_layers(
    pruner: Pruner,
    feeds: Sequence[Feed],
    memory: int,
    finished: FinishedLayers | None = None,
    on_layer: Callable[[int], None] | None = None,
) -> PruneResult:
    """Prune layer after layer, then train blocks if that is among the repairs.

    Args:
        pruner: Of the model.
        feeds: Samples.
        memory: Bytes of activations that are held in memory.
        finished: Layers that an earlier run has pruned are taken from there.
        on_layer: Called with the number of weights that are done; one counts twice when its block is trained.

    Raises:
        GraphPruneError: Blocks are to be trained, and there is no torch (GP122).
        InputError: GP581, GP582, GP584, GP585, GP595, see `graphprune.prune`.
    """
    blocks = _reconstruction() if Repair.BLOCKS in pruner.repairs else None
    fitted = feeds if blocks is None else blocks.part(feeds)[0]
    with work_folder() as folder:
        wanted = Wanted(
            products=pruner.needs_products,
            dense=not pruner.repairs.isdisjoint(_BY_DENSE),
            held=Repair.DAMPING in pruner.repairs,
        )
        inputs = LayerInputs(pruner.model, [*pruner.by_node, *pruner.moved], fitted, folder, memory, wanted)
        for nodes in inputs.stops():
            for node in nodes:
                pruner.visit(node, inputs, finished)
                if on_layer:
                    on_layer(len(pruner.layers))
    if blocks is not None:
        pruner.reconstruct(blocks, feeds, memory, finished, on_layer)
    return pruner.result(len(feeds))


def run_key(
    plan: PruningPlan, repairs: Collection[Repair], feeds: Sequence[Feed], refinement: Refinement | None = None
) -> dict[str, Any]:
    """Return what a run is known by, of JSON values."""
    arrays = (feed[name] for feed in feeds for name in sorted(feed))
    done = {"repairs": sorted(repairs), "refinement": refinement}
    return {"plan": plan.model_dump(mode="json"), **done, "samples": digest(arrays)}


def _reconstruction() -> ModuleType:
    """The module that trains blocks."""
    try:
        return importlib.import_module("graphprune.calibration.reconstruction.reconstruct")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise torch_is_missing(error) from error
