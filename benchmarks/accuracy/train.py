"""A plain, resumable training loop, the same for every method."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from benchmarks.accuracy import checkpoint
from benchmarks.accuracy.data import Split, batches, training_batches
from graphprune.targets.cpuinfo import read_cpu

Record = dict[str, Any]
EVALUATION_BATCH = 500
_HALVES = {"avx512_bf16", "amx_bf16"}


class Stateful(Protocol):
    """What a checkpoint holds the state of."""

    def state_dict(self) -> Any:  # noqa: ANN401 - torch's own signature
        """Return the state."""

    def load_state_dict(self, state_dict: Any, /) -> Any:  # noqa: ANN401
        """Take the state up again."""


@dataclass(frozen=True)
class Settings:
    """How long and how fast; `seed` decides the order of the data.

    Attributes:
        rate: The peak of the learning rate, which falls to 0 along a cosine.
        warmup: The share of the run in which the rate rises to its peak.
        decay: Weight decay.
        halves: Whether the network runs in bfloat16 autocast: without its instructions a step takes ten times as long.
    """

    epochs: int
    rate: float
    seed: int
    warmup: float = 0.0
    decay: float = 1e-4
    batch: int = 128
    momentum: float = 0.9
    halves: bool = field(default_factory=lambda: bool(_HALVES & read_cpu().features))

    def autocast(self) -> torch.autocast:
        """Return the context in which the network runs."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.halves)

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of one step out of `steps`."""
        rising = round(self.warmup * steps)
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def nothing() -> None:
    """Do nothing after a step."""


def fit(  # noqa: PLR0913 - the parts of a run
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    train: Split,
    *,
    after_step: Callable[[], object] = nothing,
    after_epoch: Callable[[], Record] = dict,
    others: Mapping[str, Stateful] | None = None,
    path: Path,
) -> list[Record]:
    """Train `module`, saving everything to `path` after each epoch, from where `path` was left.

    Args:
        module: Trained in place.
        optimizer: Of its parameters.
        settings: How long and how fast.
        train: The training images.
        after_step: Called after every step of the optimizer.
        after_epoch: Called after every epoch; what it returns is kept in that epoch's record.
        others: What else has a state.
        path: The checkpoint.

    Returns:
        One record an epoch.
    """
    parts: dict[str, Stateful] = {"module": module, "optimizer": optimizer, **(others or {})}
    history: list[Record] = []
    if path.exists():
        history = _resume(path, parts)
    for epoch in range(len(history), settings.epochs):
        start = time.perf_counter()
        loss = _train_epoch(module, optimizer, settings, train, epoch, after_step)
        seconds = time.perf_counter() - start
        history.append({"epoch": epoch + 1, "loss": loss, "seconds": seconds, **after_epoch()})
        print(history[-1], flush=True)
        checkpoint.save(path, {"history": history, **{name: part.state_dict() for name, part in parts.items()}})
    return history


def _resume(path: Path, parts: Mapping[str, Stateful]) -> list[Record]:
    state = checkpoint.load(path)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    history: list[Record] = state["history"]
    return history


def _train_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    train: Split,
    epoch: int,
    after_step: Callable[[], object],
) -> float:
    """Return the mean loss."""
    module.train()
    steps, total = len(train) // settings.batch, 0.0
    for index, (images, labels) in enumerate(training_batches(train, settings.batch, settings.seed, epoch)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate_at(epoch * steps + index, settings.epochs * steps)
        with settings.autocast():
            loss = functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after_step()
        total += loss.item()
    return total / steps


def accuracy(module: nn.Module, split: Split) -> float:
    """Return the share of right answers in float32, in eval mode; the module keeps its mode."""
    training = module.training
    module.eval()
    with torch.no_grad():
        right = sum(
            int((module(images).argmax(1) == labels).sum()) for images, labels in batches(split, EVALUATION_BATCH)
        )
    module.train(training)
    return right / len(split)
