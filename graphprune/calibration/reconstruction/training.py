"""One block on samples: Adam on its weights that stay, for outputs as the dense block has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch

from graphprune.frontends.torch_graph import to_torch
from graphprune.frontends.torch_origin import place_of

STEPS = 300
BATCH = 8
"""Samples of a step."""

RATE = 1e-3
"""Of Adam in the first step; it falls to zero along a cosine."""

_CHECKS = 4
"""How often training stops to see what held-back samples say."""

_MATRIX = 2

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Pair:
    """A sample in front of a block of the pruned model, and what the dense model has behind it.

    Attributes:
        taken: By input of the block.
        wanted: By output: those that depend on layers.
    """

    taken: Mapping[str, np.ndarray]
    wanted: Mapping[str, np.ndarray]


def train_block(
    block: ir.Model, names: Collection[str], pairs: Sequence[Pair], held: Sequence[Pair], seed: int
) -> Arrays:
    """Train constants of a block; elements of matrices that are zero stay zero.

    Args:
        block: Of the pruned model.
        names: Of the constants, of float32.
        pairs: Samples to train on.
        held: Others, which say when it is best; where it never is better than at first, nothing changes.
        seed: Of the order of the samples.

    Returns:
        The constants as they are best, by name; none where held-back samples never come out better than at first.

    Raises:
        UnsupportedModelError: As `to_torch`.
    """
    training = _Training(block, names, seed)
    best = training.loss_of(held)
    kept: Arrays = {}
    for _ in range(_CHECKS):
        for _ in range(STEPS // _CHECKS):
            training.step(pairs)
        if (found := training.loss_of(held)) < best:
            best, kept = found, training.constants()
    return kept


class _Training:
    """A module, its optimizer, and which of its elements stay zero."""

    def __init__(self, block: ir.Model, names: Collection[str], seed: int) -> None:
        self._module = to_torch(block)
        self._inputs = [str(value.name) for value in block.graph.inputs]
        self._outputs = [str(value.name) for value in block.graph.outputs]
        known = dict(self._module.requires_grad_(requires_grad=False).named_parameters())
        self._trained = {name: known[place] for name in names if (place := place_of(self._module, name)) in known}
        for each in self._trained.values():
            each.requires_grad_()
        matrices = (each for each in self._trained.values() if each.dim() >= _MATRIX)
        self._keep = [(each, each.detach() != 0) for each in matrices]
        self._optimizer = torch.optim.Adam(self._trained.values(), lr=RATE)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, STEPS)
        self._random = np.random.default_rng(seed)

    def step(self, pairs: Sequence[Pair]) -> None:
        """Take one step on some samples."""
        self._optimizer.zero_grad()
        chosen = self._random.choice(len(pairs), min(BATCH, len(pairs)), replace=False)
        for index in chosen:
            (self._loss(pairs[index]) / len(chosen)).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        with torch.no_grad():
            for each, keep in self._keep:
                each.mul_(keep)

    def loss_of(self, pairs: Sequence[Pair]) -> float:
        """Return the mean loss."""
        with torch.no_grad():
            return float(np.mean([float(self._loss(pair)) for pair in pairs]))

    def _loss(self, pair: Pair) -> torch.Tensor:
        """What the outputs differ by, over their size."""
        results = self._module(*(torch.from_numpy(pair.taken[name]) for name in self._inputs))
        found = dict(zip(self._outputs, results if isinstance(results, tuple) else (results,), strict=True))
        losses = [_relative(found[name], torch.from_numpy(wanted)) for name, wanted in pair.wanted.items()]
        return torch.stack(losses).mean()

    def constants(self) -> Arrays:
        """Return what is trained, as it is now."""
        return {name: each.detach().numpy().copy() for name, each in self._trained.items()}


def _relative(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    size = wanted.square().mean()
    return (found - wanted).square().mean() / (size if size > 0 else 1)
