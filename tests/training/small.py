"""A small network, its recipe, and a training loop that always gives the same numbers."""

from __future__ import annotations

import copy

import torch
from torch import nn

from graphprune.planning.recipe import Recipe
from graphprune.training import Pruner, prepare
from graphprune.training.methods import WeightMask


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(8, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 4),
    )


def images(seed: int = 0, count: int = 6) -> torch.Tensor:
    return torch.randn(count, 8, 6, 6, generator=torch.Generator().manual_seed(seed))


def recipe(start: object = 1, length: int | None = 4, **keys: object) -> Recipe:
    schedule = {"start": start} | ({} if length is None else {"length": length, "ramp": "linear"})
    temperatures = {"temperature": "0.1t2", "final_temperature": "0.1t2"}
    training = {"schedule": schedule} | temperatures | dict(keys.pop("training", {}))  # type: ignore[call-overload]
    return Recipe(**{"sparsity": 0.75, "training": training} | keys)


def prepared(made: Recipe | None = None, seed: int = 0) -> tuple[nn.Sequential, Pruner]:
    """The network under its masks: a copy, because an export takes a second and a copy nothing."""
    made = made or recipe()
    key = made.model_dump_json(), seed
    if key not in _PREPARED:
        module = network(seed)
        _PREPARED[key] = module, prepare(module, (images(),), made)
    return copy.deepcopy(_PREPARED[key])


_PREPARED: dict[tuple[str, int], tuple[nn.Sequential, Pruner]] = {}


def zeros(module: nn.Module, name: str) -> int:
    """How many elements of a parameter are zero."""
    parameter = module.get_parameter(name)
    return parameter.numel() - int(parameter.count_nonzero())


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), 0.05, momentum=0.9)


def train(module: nn.Module, optimizer: torch.optim.Optimizer, pruner: Pruner, first: int, last: int) -> None:
    """Steps `first` to `last` - 1, each on images of its own."""
    module.train()
    for step in range(first, last):
        optimizer.zero_grad()
        module(images(step)).square().mean().backward()
        optimizer.step()
        pruner.step()


def mask_of(pruner: Pruner, index: int = 0) -> torch.Tensor:
    """The mask of one weight as it stands."""
    site = pruner.sites[index]
    assert isinstance(site.mask, WeightMask)
    return site.mask.mask(site.weight())
