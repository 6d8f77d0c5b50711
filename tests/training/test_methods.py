"""The baselines, by their papers' rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.errors import RecipeError
from graphprune.planning.recipe import Recipe
from graphprune.training import Pruner, prepare
from graphprune.training.methods import SoftThreshold
from graphprune.training.methods.sr_ste import DECAY
from tests.training.small import images, mask_of, network, prepared, recipe, sgd, train, zeros


def of(method: str, **keys: Any) -> Recipe:  # noqa: ANN401 - keys of a recipe
    return recipe(training={"method": method} | dict(keys.pop("training", {})), **keys)


def shown_zeros(pruner: Pruner) -> list[int]:
    masked = [site.mask(site.weight()) for site in pruner.sites]
    return [weight.numel() - int(weight.count_nonzero()) for weight in masked]


def test_gradual_pruning_ramps_the_share_of_zeros() -> None:
    _, pruner = prepared(of("gmp", start=1, training={"schedule": {"start": 1, "length": 2, "ramp": "cubic"}}))
    seen = []
    for _ in range(3):
        seen.append(shown_zeros(pruner))
        pruner.step()
    share = 0.75 * (1 - 0.5**3)
    assert seen == [[0, 0], [round(864 * share), round(192 * share)], [648, 144]]


def test_groups_lose_one_place_after_another() -> None:
    """Linear: of four places 4, 3, 2 and 1 stay."""
    schedule = {"start": 1, "length": 3, "ramp": "linear"}
    _, pruner = prepared(of("gmp", training={"schedule": schedule}, pattern="1:4", sparsity=None))
    seen = []
    for _ in range(4):
        seen.append(shown_zeros(pruner))
        pruner.step()
    assert seen == [[0, 0], [216, 48], [432, 96], [648, 144]]


def test_gradual_pruning_fixes_its_mask_between_updates() -> None:
    module, pruner = prepared(of("gmp", start=0, length=None))
    before = mask_of(pruner)
    with torch.no_grad():
        pruner.sites[0].parameter.copy_(torch.randn(12, 8, 3, 3))
    assert torch.equal(mask_of(pruner), before)
    pruner.step()
    assert not torch.equal(mask_of(pruner), before)
    pruner.finalize()
    assert zeros(module, "0.weight") == 648


def test_one_shot_chooses_once() -> None:
    module, pruner = prepared(of("one-shot", start=1, length=None))
    assert shown_zeros(pruner) == [0, 0]
    pruner.step()
    chosen = mask_of(pruner).bool()
    with torch.no_grad():
        pruner.sites[0].parameter.copy_(torch.randn(12, 8, 3, 3))
    train(module, sgd(module), pruner, 0, 3)
    finished = pruner.finalize().get_parameter("0.weight")
    assert torch.equal(finished != 0, chosen)
    assert zeros(module, "0.weight") == 648


@pytest.mark.parametrize("method", ["gmp", "one-shot", "sr-ste", "str"])
def test_a_killed_run_goes_on(method: str) -> None:
    keys: dict[str, Any] = {"pattern": "2:4", "sparsity": None} if method == "sr-ste" else {}
    made = of(method, start=1, length=3, **keys)
    expected, pruner = prepared(made)
    train(expected, sgd(expected), pruner, 0, 5)
    module, pruner = prepared(made)
    optimizer = sgd(module)
    train(module, optimizer, pruner, 0, 2)
    states = module.state_dict(), optimizer.state_dict(), pruner.state_dict()
    module, pruner = prepared(made, seed=5)
    optimizer = sgd(module)
    for part, state in zip((module, optimizer, pruner), states, strict=True):
        part.load_state_dict(state)  # type: ignore[attr-defined]
    train(module, optimizer, pruner, 2, 5)
    torch.testing.assert_close(module(images()), expected(images()), rtol=0, atol=0)


def test_straight_through_gradients() -> None:
    torch.manual_seed(0)
    module = nn.Linear(8, 3, bias=False)
    x = torch.randn(5, 8)
    pruner = prepare(module, (x,), of("sr-ste", start=0, length=None, pattern="1:4", sparsity=None))
    module(x).sum().backward()
    weight = pruner.sites[0].weight().numpy()
    groups = np.abs(weight).reshape(3, 2, 4)
    keep = (groups == groups.max(-1, keepdims=True)).reshape(3, 8)
    expected = np.broadcast_to(x.sum(0).numpy(), (3, 8)) + DECAY * np.where(keep, 0, weight)
    gradient = pruner.sites[0].parameter.grad
    assert gradient is not None
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(module.weight.detach().numpy(), np.where(keep, weight, 0))


def test_a_learned_threshold_shrinks_and_follows_its_decay() -> None:
    module, pruner = prepared(of("str", start=0, length=None))
    mask = pruner.sites[0].mask
    assert isinstance(mask, SoftThreshold)
    weight = pruner.sites[0].weight().numpy()
    limit = 1 / (1 + np.exp(8.0))
    expected = np.sign(weight) * np.maximum(np.abs(weight) - limit, 0)
    np.testing.assert_allclose(mask(pruner.sites[0].weight()).detach(), expected, rtol=1e-5)
    logits = [value for name, value in module.named_parameters() if name.endswith("threshold_logit")]
    others = [value for name, value in module.named_parameters() if not name.endswith("threshold_logit")]
    assert len(logits) == 2
    groups: list[dict[str, Any]] = [{"params": logits, "weight_decay": 0.5}, {"params": others}]
    optimizer = torch.optim.SGD(groups, 0.3)
    train(module, optimizer, pruner, 0, 12)
    hard = mask.hard_mask(pruner.sites[0].weight())
    pruner.finalize()
    assert 0 < zeros(module, "0.weight") == int((~hard).sum())


@pytest.mark.parametrize(("method", "pattern"), [("sr-ste", "unstructured"), ("str", "block 4x1")])
def test_a_pattern_that_a_method_does_not_take_is_refused(method: str, pattern: str) -> None:
    module = network()
    with pytest.raises(RecipeError, match=rf"weight '0.weight': method {method} takes .*GP703"):
        prepare(module, (images(),), of(method, pattern=pattern))
    assert module.state_dict().keys() == network().state_dict().keys()
