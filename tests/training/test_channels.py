"""Channels that are trained: one mask a coupled group, gradients, exact zeros, resuming, two methods, refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import graphprune as gp
from graphprune.errors import RecipeError
from graphprune.passes.prune_channels import PruneChannels
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.recipe import Recipe
from graphprune.training import Pruner, prepare
from graphprune.training.methods import ChannelMask
from tests.training.small import sgd
from tests.weighted import weight_of


class Residual(nn.Module):
    """Two convolutions tied by a sum, one of its own, norms, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 12, 1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.outer = nn.Conv2d(12, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.stem(images))
        second = self.outer(torch.relu(self.norm(self.inner(first))))
        scores: torch.Tensor = self.head((first + second).mean((2, 3)))
        return scores


def images(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(seed))


def recipe(method: str = "pdp", **keys: Any) -> Recipe:  # noqa: ANN401
    schedule = {"start": 1, "length": 4, "ramp": "linear"}
    training = {"method": method, "temperature": "0.5t2", "final_temperature": "0.5t2", "schedule": schedule}
    every: dict[str, Any] = {"sparsity": 0.5, "pattern": "channel", "training": training} | keys
    return Recipe(**every)


def prepared(**keys: Any) -> tuple[Residual, Pruner]:  # noqa: ANN401
    module = Residual()
    return module, prepare(module, (images(),), recipe(**keys))


def train(module: nn.Module, pruner: Pruner, first: int, last: int, optimizer: torch.optim.Optimizer) -> None:
    for step in range(first, last):
        optimizer.zero_grad()
        module(images(step)).square().mean().backward()
        optimizer.step()
        pruner.step()


def test_what_is_coupled_shares_a_mask() -> None:
    _, pruner = prepared()
    assert [(mask.name, mask.size) for mask in pruner.groups] == [("stem.weight", 8), ("inner.weight", 12)]
    assert {site.name for site in pruner.sites} == {
        *("stem.weight", "stem.bias", "outer.weight", "outer.bias", "inner.weight", "norm.weight", "norm.bias")
    }


def test_the_mask_multiplies_everything_that_carries_the_channel() -> None:
    module, pruner = prepared()
    train(module, pruner, 0, 3, sgd(module))
    group, _ = pruner.groups
    assert isinstance(group, ChannelMask)
    mask = group().detach()
    assert 0 < float(mask.min()) < 0.5 < float(mask.max()) < 1
    weights = [module.stem.weight, module.outer.weight]
    dense = [site.parameter for site in pruner.sites if site.name in {"stem.weight", "outer.weight"}]
    together = torch.cat([weight.flatten(1) for weight in dense], 1)
    torch.testing.assert_close(group.scores(), together.square().mean(1).sqrt())
    for weight, original in zip(weights, dense, strict=True):
        torch.testing.assert_close(weight, original * mask[:, None, None, None])
    bias = next(site.parameter for site in pruner.sites if site.name == "stem.bias")
    torch.testing.assert_close(module.stem.bias, bias * mask)


def test_gradients_are_those_of_the_formula() -> None:
    module, pruner = prepared()
    train(module, pruner, 0, 3, sgd(module))
    module.double().eval()
    group, _ = pruner.groups
    parameter = next(site.parameter for site in pruner.sites if site.name == "outer.weight")
    channel = int(group.scores().argmax())  # far from the threshold, which the gradient takes as a constant

    def loss() -> torch.Tensor:
        total: torch.Tensor = module(images().double()).square().sum()
        return total

    def moved(change: float) -> float:
        with torch.no_grad():
            parameter[channel, 2, 0, 0] += change
            found = float(loss())
            parameter[channel, 2, 0, 0] -= change
        return found

    (gradient,) = torch.autograd.grad(loss(), parameter)
    by_difference = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert float(gradient[channel, 2, 0, 0]) == pytest.approx(by_difference, rel=1e-5)


@pytest.mark.parametrize("method", ["pdp", "gmp"])
def test_the_end_has_exact_zeros_and_computes_what_hardening_showed(method: str) -> None:
    module, pruner = prepared(method=method)
    train(module, pruner, 0, 7, sgd(module))
    module.eval()
    with pruner.hardened() as hard:
        expected = hard(images()).detach()
    assert pruner.finalize() is module
    torch.testing.assert_close(module(images()), expected)
    gone = (module.stem.weight.flatten(1) == 0).all(1)
    assert int(gone.sum()) == 4
    assert bool((module.outer.weight[gone] == 0).all())
    for carrier in (module.stem.bias, module.outer.bias):
        assert carrier is not None
        assert bool((carrier[gone] == 0).all())


def test_a_file_is_pruned_alike() -> None:
    module, pruner = prepared()
    train(module, pruner, 0, 7, sgd(module))
    trained = Residual()
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            site = next((each for each in pruner.sites if each.name == name), None)
            parameter.copy_(module.get_parameter(name) if site is None else site.weight())
    model = gp.from_torch(trained.eval(), (images(),))
    pruned = gp.Pipeline([PruneChannels(gp.plan(model, recipe()))]).run(model).model
    finished = pruner.finalize()
    for name in ("stem.weight", "outer.weight", "inner.weight"):
        np.testing.assert_array_equal(weight_of(pruned, name), finished.get_parameter(name).detach().numpy())


@pytest.mark.parametrize("method", ["pdp", "gmp"])
def test_a_run_that_is_killed_goes_on_bit_for_bit(method: str) -> None:
    module, pruner = prepared(method=method)
    optimizer = sgd(module)
    train(module, pruner, 0, 3, optimizer)
    saved = copy.deepcopy((module.state_dict(), optimizer.state_dict(), pruner.state_dict()))
    train(module, pruner, 3, 7, optimizer)
    again, other = prepared(method=method)
    second = sgd(again)
    again.load_state_dict(saved[0])
    second.load_state_dict(saved[1])
    other.load_state_dict(saved[2])
    train(again, other, 3, 7, second)
    for (name, one), two in zip(pruner.finalize().named_parameters(), other.finalize().parameters(), strict=True):
        assert torch.equal(one, two), name


def test_a_global_budget_is_shared_out_when_the_ramp_starts() -> None:
    module, pruner = prepared(scope="global")
    with torch.no_grad():
        for site in pruner.sites:
            if site.name == "inner.weight":
                site.parameter.mul_(0.01)
    train(module, pruner, 0, 6, sgd(module))
    assert [mask.budget for mask in pruner.groups] == [0.0, pytest.approx(10 / 12)]


def test_the_report_has_a_row_a_group() -> None:
    module, pruner = prepared()
    train(module, pruner, 0, 3, sgd(module))
    rows = pruner.report().layers
    assert [(row.name, row.size, row.sparsity) for row in rows] == [("stem.weight", 8, 0.5), ("inner.weight", 12, 0.5)]
    assert all(0 < row.gap < 1 and row.undecided > 0 for row in rows)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"method": "str"}, r"group 'stem.weight': method str trains no channels, expected one of pdp, gmp \[GP703\]"),
    ({"channels": ChannelOptions(criterion="l1")}, r"criterion 'l1', training takes criterion 'l2' \[GP703\]"),
    ({"channels": ChannelOptions(indices={"stem.weight": (1,)})}, r"a list of channels, training takes .*GP703"),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_what_cannot_be_trained_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        prepared(**keys)
