"""Preparing a module: which weights get a mask, ties, plans, and what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import graphprune as gp
from graphprune.errors import RecipeError
from graphprune.training import prepare
from tests.training.small import images, network, prepared, recipe, sgd, train, zeros


def test_the_weights_of_the_plan_get_a_mask() -> None:
    module, pruner = prepared()
    assert [site.name for site in pruner.sites] == ["0.weight", "5.weight"]
    assert "0.parametrizations.weight.original" in module.state_dict()
    assert "0.bias" in module.state_dict()


def test_a_dense_phase_computes_exactly_what_the_module_did() -> None:
    module, _ = prepared()
    torch.testing.assert_close(module(images()), network()(images()), rtol=0, atol=0)


def test_the_mask_is_on_from_the_first_step_without_a_dense_phase() -> None:
    _, pruner = prepared(recipe(start=0))
    assert [mask.ratio for mask in pruner.masks] == [0.25, 0.25]


def test_a_tied_weight_has_one_mask() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.second(self.first(x).relu())
            return scores

    torch.manual_seed(0)
    module, x = Tied(), torch.randn(4, 16)
    pruner = prepare(module, (x,), recipe(start=0, length=None))
    (site,) = pruner.sites
    assert len(site.owners) == 2
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    assert len(list(module.parameters())) == 1
    module(x).sum().backward()
    optimizer.step()
    pruner.step()
    assert torch.equal(module.first.weight, module.second.weight)
    pruner.finalize()
    assert module.first.weight is module.second.weight
    assert zeros(module, "first.weight") == 192


def test_a_plan_may_be_given_and_keeps_its_budgets() -> None:
    module = network()
    plan = gp.plan(gp.from_torch(module, (images(),)), gp.Recipe(sparsity=0.5, targets=("5.weight",)))
    pruner = prepare(module, (images(),), recipe(start=0, length=None), plan=plan)
    assert [(mask.name, mask.budget) for mask in pruner.masks] == [("5.weight", 0.5)]


def test_a_plan_of_another_model_is_refused() -> None:
    plan = gp.plan(gp.from_torch(nn.Linear(8, 8), (torch.randn(1, 8),)), gp.Recipe(sparsity=0.5))
    module = network()
    with pytest.raises(RecipeError, match=r"no prunable weight 'weight'.*\[GP324\]"):
        prepare(module, (images(),), recipe(), plan=plan)
    assert list(module.state_dict()) == list(network().state_dict())


def test_a_module_is_prepared_once() -> None:
    module, _ = prepared()
    with pytest.raises(RecipeError, match=r"Sequential: was prepared before.*\[GP702\]"):
        prepare(module, (images(),), recipe())


def test_budgets_are_shared_out_by_the_weights_at_the_end_of_the_dense_phase() -> None:
    _, pruner = prepared(recipe(start=2, scope="global", sparsity=0.5))
    with torch.no_grad():
        pruner.sites[0].parameter.mul_(2)
    pruner.step()
    pruner.step()
    sizes = {mask.name: mask.budget * size for mask, size in zip(pruner.masks, (864, 192), strict=True)}
    assert sum(sizes.values()) == round(0.5 * (864 + 192))
    assert sizes["5.weight"] > 0.6 * 192


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "1:4", "block 4x1"])
def test_every_pattern_is_trained_and_hardened_exactly(pattern: str) -> None:
    keys = {} if ":" in pattern else {"sparsity": 0.75}
    module = network()
    made = recipe(start=0, length=2, pattern=pattern, **{"sparsity": None} | keys)
    pruner = prepare(module, (images(),), made)
    train(module, sgd(module), pruner, 0, 4)
    pruner.finalize()
    planned = gp.plan(gp.from_torch(module.eval(), (images(),)), made)
    found = {name: zeros(module, name) for name in ("0.weight", "5.weight")}
    assert found == {entry.name: entry.pruned for entry in planned.weights}


@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block 4x1"])
def test_a_transposed_convolution_is_trained_and_hardened_exactly(pattern: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.ConvTranspose2d(16, 8, 2, 2))
    keys = {"sparsity": None} if ":" in pattern else {"sparsity": 0.75}
    made = recipe(start=0, length=2, pattern=pattern, **keys)
    images = torch.randn(4, 3, 10, 10)
    pruner, optimizer = prepare(module, (images,), made), sgd(module)
    for _ in range(4):
        optimizer.zero_grad()
        module(images).square().mean().backward()
        optimizer.step()
        pruner.step()
    pruner.finalize()
    (entry,) = gp.plan(gp.from_torch(module.eval(), (images,)), made).weights
    assert (entry.name, zeros(module, "2.weight")) == ("2.weight", entry.pruned)


COMPUTED: dict[str, Callable[[nn.Module], object]] = {
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "spectral_norm": nn.utils.parametrizations.spectral_norm,
    "old weight_norm": nn.utils.weight_norm,
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.1),  # type: ignore[no-untyped-call]
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("how", COMPUTED)
def test_layers_with_a_computed_weight_are_warned_of_and_reported(how: str) -> None:
    module = network()
    COMPUTED[how](module[5])
    with pytest.warns(UserWarning, match=r"^1 layers stay dense, their weight is computed .*: '5'$"):
        pruner = prepare(module, (images(),), recipe())
    assert [site.name for site in pruner.sites] == ["0.weight"]
    assert any(skip.node.startswith("5.") for skip in pruner.left)
    assert "left alone: 5." in str(pruner.report())
    assert "5." in json.loads(pruner.report().to_json())["left"][0]["node"]


def test_what_stays_dense_by_its_kind_is_reported_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 8, 1))
    pruner = prepare(module, (torch.randn(1, 3, 8, 8),), recipe())
    assert {(skip.node, skip.code) for skip in pruner.report().left} == {("0.weight", "GP303"), ("1.weight", "GP302")}
    assert not [each for each in recwarn if "stay dense" in str(each.message)]


def test_a_layer_that_one_threshold_would_empty_keeps_an_element_and_is_warned_of() -> None:
    module = network()
    with torch.no_grad():
        module.get_parameter("5.weight").mul_(1e-6)
    with pytest.warns(UserWarning, match=r"leaves 1 weights next to nothing: '5.weight' keeps 1; .* min_kept"):
        pruner = prepare(module, (images(),), recipe(start=2, scope="global"))
    assert [mask.ratio for mask in pruner.masks] == [0.0, 0.0]
    with pytest.warns(UserWarning, match="'5.weight' keeps 1"):
        train(module, torch.optim.SGD(module.parameters(), 0.0), pruner, 0, 7)
    pruner.finalize()
    assert zeros(module, "5.weight") == 191
    assert zeros(module, "0.weight") + 191 == round(0.75 * (864 + 192))


def test_a_floor_a_layer_holds_in_training() -> None:
    module = network()
    with torch.no_grad():
        module.get_parameter("5.weight").mul_(1e-6)
    pruner = prepare(module, (images(),), recipe(start=1, length=2, scope="global", min_kept=0.1))
    train(module, torch.optim.SGD(module.parameters(), 0.0), pruner, 0, 4)
    pruner.finalize()
    assert zeros(module, "5.weight") == 192 - 20


def test_zeros_that_no_floor_leaves_room_for_are_refused_before_the_dense_phase() -> None:
    module = network()
    with pytest.raises(RecipeError, match="GP723"):
        prepare(module, (images(),), recipe(start=5, scope="global", min_kept=0.5))
    assert list(module.state_dict()) == list(network().state_dict())


def test_example_inputs_may_be_named() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(16, 16)

        def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.inner(x) * scale
            return scores

    kwargs = {"x": torch.randn(2, 16), "scale": torch.ones(16)}
    for args, rest in (((), kwargs), ((kwargs["x"],), {"scale": kwargs["scale"]})):
        assert [site.name for site in prepare(Scaled(), args, recipe(), example_kwargs=rest).sites] == ["inner.weight"]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_linear_layers_in_bfloat16_are_trained(scope: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8)).bfloat16()
    x = torch.randn(4, 16, dtype=torch.bfloat16)
    pruner = prepare(module, (x,), recipe(start=1, length=2, scope=scope))
    for _ in range(3):
        module(x).float().square().mean().backward()
        pruner.step()
    assert "0.weight" in str(pruner.report())
    pruner.finalize()
    assert zeros(module, "0.weight") + zeros(module, "2.weight") == round(0.75 * (512 + 256))


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.recurrent = nn.GRU(16, 12, batch_first=True)
        self.head = nn.Linear(12, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended = self.attention(x, x, x, need_weights=False)[0]
        scores: torch.Tensor = self.head(self.recurrent(x + attended)[0])
        return scores


IN_BFLOAT16: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv1d": (lambda: nn.Sequential(nn.Conv1d(8, 16, 3), nn.ReLU(), nn.Conv1d(16, 8, 3)), (2, 8, 12)),
    "Conv2d, BatchNorm2d": (network, (2, 8, 6, 6)),
    "Conv3d": (lambda: nn.Sequential(nn.Conv3d(8, 16, 3), nn.GELU(), nn.Conv3d(16, 8, 1)), (2, 8, 5, 5, 5)),
    "attention, GRU": (Attentive, (2, 5, 16)),
}


@pytest.mark.parametrize("pattern", ["unstructured", "channel"])
@pytest.mark.parametrize("what", IN_BFLOAT16)
def test_modules_in_bfloat16_are_planned_and_trained_as_those_in_float32(what: str, pattern: str) -> None:
    made, shape = IN_BFLOAT16[what]
    torch.manual_seed(0)
    narrow = made().bfloat16()
    wide, x = copy.deepcopy(narrow).float(), torch.randn(shape)
    pruner, other = (
        prepare(*each, recipe(start=1, length=2, pattern=pattern)) for each in ((narrow, (x.bfloat16(),)), (wide, (x,)))
    )
    assert [site.name for site in pruner.sites] == [site.name for site in other.sites]
    assert [mask.budget for mask in pruner.masks] == [mask.budget for mask in other.masks]
    for _ in range(3):
        loss = narrow(x.bfloat16()).float().square().mean()
        assert loss.isfinite()
        loss.backward()
        pruner.step()
        other.step()
    for one, two in zip(pruner.sites, other.sites, strict=True):
        assert torch.equal(one.mask(one.weight()), two.mask(two.weight()).bfloat16())  # computed in float32
    finished, expected = pruner.finalize(), other.finalize()
    for site in pruner.sites:
        assert finished.get_parameter(site.name).dtype == torch.bfloat16
        assert zeros(finished, site.name) == zeros(expected, site.name)


def test_a_plan_of_a_module_in_bfloat16_fits_it_in_either_type() -> None:
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Linear(16, 32)).bfloat16(), torch.randn(2, 16)
    plan = gp.plan(gp.from_torch(module, (x.bfloat16(),)), gp.Recipe(sparsity=0.5))
    for each, given in ((copy.deepcopy(module), x.bfloat16()), (module.float(), x)):
        assert [mask.budget for mask in prepare(each, (given,), recipe(), plan=plan).masks] == [0.5]


def test_blocks_that_do_not_divide_a_weight_cannot_be_trained() -> None:
    uneven = gp.Recipe(sparsity=0.5, pattern="block 3x1")
    with pytest.raises(RecipeError, match=r"weight '0.weight' cannot be masked in training: it has .*\[GP329\]"):
        prepare(nn.Sequential(nn.Linear(16, 16)), (torch.zeros(2, 16),), uneven)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"scope": "row"}, "pattern is 'unstructured rows', expected 'unstructured'"),
        ({"criterion": "wanda", "scope": "layer"}, "criterion is 'wanda', expected 'magnitude'"),
        ({"criterion": "sparsegpt"}, "criterion is 'sparsegpt', expected 'magnitude'"),
    ],
)
def test_what_has_no_trained_mask_is_refused(change: dict[str, Any], what: str) -> None:
    chosen = gp.Recipe(sparsity=0.5, **change)
    module, inputs = nn.Sequential(nn.Linear(16, 16)), (torch.zeros(2, 16),)
    plan = gp.plan(gp.from_torch(module, inputs), chosen)
    with pytest.raises(RecipeError, match=rf"weight '0.weight' cannot be masked in training: its {what} \[GP334\]"):
        prepare(module, inputs, chosen, plan=plan)
