"""Driving the masks: schedule, reports, hardening, resuming, and everything a training loop does besides."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import graphprune as gp
from graphprune.errors import InputError, PreconditionError, RecipeError
from graphprune.training import Pruner, prepare
from graphprune.training.methods.base import Scheduled
from tests.training.small import images, network, prepared, recipe, sgd, train, zeros


def test_the_ramp_follows_the_schedule() -> None:
    _, pruner = prepared(recipe(start=2, length=4))
    seen = []
    for _ in range(7):
        seen.append(pruner.ratio)
        pruner.step()
    assert seen == [0, 0, 0.25, 0.5, 0.75, 1, 1]


def test_the_validation_rule_waits_for_five_good_epochs() -> None:
    _, pruner = prepared(recipe(start="validation", length=2))
    metrics = [0.1, 0.8, 0.3, 0.5, 0.6, 0.7, 0.7, 0.7]
    ratios = []
    for metric in metrics:
        pruner.step(metric=metric)
        ratios.append(pruner.ratio)
    assert ratios == [0, 0, 0, 0, 0, 0, 0, 0.5]
    with pytest.raises(InputError, match=r"step needs metric= \[GP712\]"):
        prepared(recipe(start="validation"))[1].step()


def test_finalize_leaves_a_plain_module_with_exact_zeros() -> None:
    module, pruner = prepared()
    train(module, sgd(module), pruner, 0, 6)
    with pruner.hardened() as hard:
        expected = hard.eval()(images())
    finished = pruner.finalize()
    assert finished is module
    assert module.state_dict().keys() == network().state_dict().keys()
    assert [zeros(module, name) for name in ("0.weight", "5.weight")] == [648, 144]
    torch.testing.assert_close(module(images()), expected, rtol=0, atol=0)


def test_what_was_trained_is_what_is_compiled() -> None:
    module, pruner = prepared()
    train(module, sgd(module), pruner, 0, 6)
    finished = pruner.finalize().eval()
    session = gp.compile(gp.from_torch(finished, (images(),)))
    (found,) = session.run(None, {session.get_inputs()[0].name: images().numpy()})
    np.testing.assert_allclose(found, finished(images()).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_hardening_for_an_evaluation_leaves_training_as_it_was() -> None:
    module, pruner = prepared(recipe(start=0, length=8))
    before = module(images())
    with pruner.hardened() as hard:
        assert torch.count_nonzero(hard.get_submodule("0").weight) == 864 - 648  # type: ignore[arg-type]
    torch.testing.assert_close(module(images()), before, rtol=0, atol=0)


def test_the_report_tells_soft_from_hard() -> None:
    _, pruner = prepared(recipe(start=0, length=None))
    report = pruner.report()
    assert [layer.name for layer in report.layers] == ["0.weight", "5.weight"]
    assert report.sparsity == pytest.approx(0.75)
    for layer, site in zip(report.layers, pruner.sites, strict=True):
        weight = site.weight()
        ordered = weight.abs().flatten().sort().values
        pruned = round(0.75 * weight.numel())
        limit = 0.5 * (ordered[pruned - 1] + ordered[pruned])
        mask = torch.sigmoid((weight**2 - limit**2) / (0.1 * limit**2))
        assert layer.undecided == pytest.approx(((mask > 0.01) & (mask < 0.99)).double().mean().item())
        hard = torch.where(weight.abs() > limit, weight, 0)
        assert layer.gap == pytest.approx(((mask * weight - hard).norm() / hard.norm()).item(), rel=1e-4)
    assert "0.weight" in str(report)
    assert '"undecided"' in report.to_json()


def test_finalize_waits_for_the_ramp() -> None:
    module, pruner = prepared()
    names = list(module.state_dict())
    with pytest.raises(PreconditionError, match=r"the ramp stands at 0.00 of its length after 0 steps.*\[GP713\]"):
        pruner.finalize()
    assert list(module.state_dict()) == names
    pruner.finalize(force=True)
    assert zeros(module, "0.weight") == 648


@pytest.mark.parametrize(
    "call", [Pruner.step, Pruner.finalize, Pruner.report, lambda pruner: pruner.hardened().__enter__()]
)
def test_nothing_goes_on_after_finalize(call: Any) -> None:  # noqa: ANN401 - methods of different forms
    _, pruner = prepared()
    pruner.finalize(force=True)
    with pytest.raises(PreconditionError, match=r"was finalized.*\[GP710\]"):
        call(pruner)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_broke_are_named_and_nothing_is_changed(value: float) -> None:
    module, pruner = prepared()
    with torch.no_grad():
        pruner.sites[1].parameter[0, 0] = value
    with pytest.raises(PreconditionError, match=r"the weight '5.weight' holds NaN or an infinity after 0 .*GP711"):
        pruner.step()
    assert pruner.steps == 0
    with pytest.raises(PreconditionError, match="GP711"):
        pruner.finalize(force=True)
    assert zeros(module, "0.parametrizations.weight.original") == 0


def test_steps_that_a_scaler_skips_do_not_stop_the_training() -> None:
    module, pruner = prepared(recipe(start=0, length=4))
    optimizer = sgd(module)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    infinite = []
    for step in range(4):
        optimizer.zero_grad()
        scaler.scale(module(images(step)).square().mean() * 2.0**100).backward()
        infinite.append(not all(site.parameter.grad.isfinite().all() for site in pruner.sites))  # type: ignore[union-attr]
        scaler.step(optimizer)
        scaler.update()
        pruner.step()
    assert infinite[0]
    assert pruner.steps == 4


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_run_that_was_killed_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    whole_module, whole_pruner = prepared(recipe(start=2, length=3, scope="global"))
    train(whole_module, sgd(whole_module), whole_pruner, 0, 7)

    module, pruner = prepared(recipe(start=2, length=3, scope="global"))
    optimizer = sgd(module)
    train(module, optimizer, pruner, 0, stop)
    state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "pruner": pruner.state_dict()}
    torch.save(state, tmp_path / "state.pt")

    module, pruner = prepared(recipe(start=2, length=3, scope="global"), seed=99)
    optimizer = sgd(module)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    pruner.load_state_dict(state["pruner"])
    train(module, optimizer, pruner, stop, 7)
    for (name, found), (_, expected) in zip(module.named_parameters(), whole_module.named_parameters(), strict=True):
        assert torch.equal(found, expected), name
    assert [mask.budget for mask in pruner.masks] == [mask.budget for mask in whole_pruner.masks]
    for found, expected in zip(pruner.finalize().parameters(), whole_pruner.finalize().parameters(), strict=True):
        assert torch.equal(found, expected)


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    module, _ = prepared(recipe(start=0, length=2))
    module.eval()  # so that BatchNorm treats images alike
    batch = images(count=8)
    module(batch).square().sum().backward()
    expected = [parameter.grad for parameter in module.parameters()]
    module.zero_grad()
    for part in batch.chunk(2):
        module(part).square().sum().backward()
    for parameter, gradient in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_clipping_and_an_average_of_weights_work() -> None:
    module, pruner = prepared(recipe(start=0, length=2))
    average = torch.optim.swa_utils.AveragedModel(module, avg_fn=lambda old, new, _: (old + new) / 2)
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    for step in range(3):
        optimizer.zero_grad()
        module(images(step)).square().mean().backward()
        assert torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1).isfinite()
        optimizer.step()
        pruner.step()
        average.update_parameters(module)
    assert not torch.equal(average(images()), module(images()))
    assert copy.deepcopy(module)(images()).isfinite().all()


def test_autocast_keeps_the_mask_in_float32() -> None:
    module, _ = prepared(recipe(start=0, length=None))
    with torch.autocast("cpu", torch.bfloat16):
        assert module[0].weight.dtype == torch.float32
        scores = module(images())
    assert scores.dtype == torch.bfloat16
    torch.testing.assert_close(scores.float(), module(images()), rtol=0.1, atol=0.05)


def test_the_state_holds_nothing_that_needs_unpickling() -> None:
    module, pruner = prepared()
    buffer = io.BytesIO()
    torch.save({"module": module.state_dict(), "pruner": pruner.state_dict()}, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True)["pruner"]["steps"] == 0


def test_masks_show_themselves() -> None:
    module, _ = prepared(recipe(start=0))
    assert isinstance(module, nn.Module)
    assert "unstructured, budget=0.75, ratio=0.25" in repr(module)


def averaged(method: str = "pdp", **keys: Any) -> tuple[nn.Module, Pruner, torch.optim.swa_utils.AveragedModel]:  # noqa: ANN401
    """A module after its training, and a moving average that was made before it."""
    module, pruner = prepared(recipe(start=2, length=2, training={"method": method}, **keys))
    average = torch.optim.swa_utils.AveragedModel(module, avg_fn=lambda old, new, _: (old + new) / 2)
    optimizer = sgd(module)
    for step in range(6):
        train(module, optimizer, pruner, step, step + 1)
        average.update_parameters(module)
    return module, pruner, average


@pytest.mark.parametrize("keys", [{}, {"method": "gmp"}, {"method": "one-shot"}, {"pattern": "channel"}])
def test_the_masks_of_an_average_follow_the_schedule(keys: dict[str, Any]) -> None:
    _, pruner, average = averaged(**keys)
    live = {name: buffer for name, buffer in pruner.module.named_buffers() if name.endswith("schedule")}
    copied = dict(average.module.named_buffers())
    assert live
    assert all(torch.equal(buffer, copied[name]) for name, buffer in live.items())
    assert [mask.ratio for mask in average.module.modules() if isinstance(mask, Scheduled)] == [1.0, 1.0][: len(live)]
    dense = copy.deepcopy(average.module)
    for mask in dense.modules():
        if isinstance(mask, Scheduled):
            mask.follow(0.0, 0.0)
    assert not torch.equal(average(images()), dense(images()))


@pytest.mark.parametrize("keys", [{}, {"pattern": "channel"}])
def test_an_average_is_finalized_before_or_after_the_module(keys: dict[str, Any]) -> None:
    module, pruner, average = averaged(**keys)
    early = copy.deepcopy(average.module)
    assert pruner.finalize_copy(early) is early
    pruner.finalize()
    assert average(images()).isfinite().all()
    finished = pruner.finalize_copy(average.module)
    assert finished.state_dict().keys() == network().state_dict().keys() == early.state_dict().keys()
    assert zeros(finished, "0.weight") == zeros(module, "0.weight") == zeros(early, "0.weight") > 0
    assert not torch.equal(finished.get_parameter("0.weight"), module.get_parameter("0.weight"))
    with pytest.raises(RecipeError, match=r"weight '0.weight' has no mask in it.*\[GP702\]"):
        pruner.finalize_copy(average.module)


@pytest.mark.parametrize("method", ["pdp", "gmp", "one-shot"])
def test_an_average_that_blurred_the_schedule_is_finalized_by_force_as_planned(method: str) -> None:
    module, pruner = prepared(recipe(start=2, length=2, scope="global", training={"method": method}))
    options: dict[str, Any] = {"use_buffers": True, "avg_fn": lambda old, new, _: 0.7 * old + 0.3 * new}
    average = torch.optim.swa_utils.AveragedModel(module, **options)
    optimizer = sgd(module)
    for step in range(6):
        train(module, optimizer, pruner, step, step + 1)
        average.update_parameters(module)
    duplicate = copy.deepcopy(average.module)
    with pytest.raises(PreconditionError, match=r"'0.weight' is not where the pruner is: .*use_buffers.*\[GP634\]"):
        pruner.finalize_copy(duplicate)
    pruner.finalize_copy(duplicate, force=True)
    pruner.finalize()
    for name in ("0.weight", "5.weight"):
        assert zeros(duplicate, name) == zeros(module, name)


def test_a_state_of_another_recipe_is_refused() -> None:
    state = prepared(recipe(sparsity=0.8))[1].state_dict()
    _, pruner = prepared(recipe(sparsity=0.5))
    with pytest.raises(RecipeError, match=r"with another recipe: sparsity is 0.8 there, 0.5 here; .*\[GP720\]"):
        pruner.load_state_dict(state | {"steps": 3})
    assert pruner.steps == 0
    other = prepared(recipe(sparsity=0.5, length=9))[1].state_dict()
    with pytest.raises(RecipeError, match=r"recipe: training.schedule.length is 9 there, 4 here"):
        pruner.load_state_dict(other)
    with pytest.raises(RecipeError, match=r"does not say its recipe: .*\[GP720\]"):
        pruner.load_state_dict({"steps": 1, "started": 0, "metrics": []})


def test_a_state_of_another_plan_is_refused() -> None:
    module = network()
    plans = [gp.plan(gp.from_torch(module, (images(),)), gp.Recipe(sparsity=share)) for share in (0.5, 0.75)]
    first, second = (prepare(network(), (images(),), recipe(), plan=plan) for plan in plans)
    with pytest.raises(RecipeError, match=r"with another plan: 0.weight is 0.5 there, 0.75 here"):
        second.load_state_dict(first.state_dict())


def test_a_state_survives_json() -> None:
    _, pruner = prepared(recipe(start="validation", length=2))
    pruner.step(metric=0.1)
    _, other = prepared(recipe(start="validation", length=2))
    other.load_state_dict(json.loads(json.dumps(pruner.state_dict())))
    assert other.state_dict() == pruner.state_dict()


def test_a_copy_beside_its_pruner_goes_its_own_way() -> None:
    module, pruner = prepared(recipe(start=0, length=4))
    other, own = copy.deepcopy((module, pruner))
    own.step()
    assert [mask.ratio for mask in own.masks] == [0.5, 0.5]
    assert [mask.ratio for mask in pruner.masks] == [0.25, 0.25]
    assert own.module is other


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_another_type_of_the_module_does_not_round_the_schedule(dtype: torch.dtype) -> None:
    module, pruner = prepared(recipe(start=0, length=3, sparsity=0.77))
    before = [(mask.budget, mask.ratio, mask.progress) for mask in pruner.masks]
    module.to(dtype)
    assert [(mask.budget, mask.ratio, mask.progress) for mask in pruner.masks] == before


@pytest.mark.parametrize("pattern", ["unstructured", "channel"])
def test_the_state_of_a_module_is_tensors_that_share_nothing(tmp_path: Path, pattern: str) -> None:
    made = recipe(start=1, length=3, pattern=pattern)
    module, pruner = prepared(made)
    train(module, sgd(module), pruner, 0, 2)
    safetensors.torch.save_file(module.state_dict(), tmp_path / "model.safetensors")
    again, other = prepared(made, seed=7)
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    assert [mask.ratio for mask in other.masks] == [mask.ratio for mask in pruner.masks] != [0.0, 0.0]
    torch.testing.assert_close(again.eval()(images()), module.eval()(images()), rtol=0, atol=0)


@pytest.mark.parametrize("keys", [{}, {"pattern": "2:4", "sparsity": None, "training": {"method": "sr-ste"}}])
def test_an_export_before_the_end_says_what_to_do(keys: dict[str, Any]) -> None:
    module, pruner = prepared(recipe(start=0, length=4, **keys))
    with pytest.raises(PreconditionError, match=r"^the mask of '0.weight' .* finalize the pruner first, .*\[GP722\]$"):
        gp.from_torch(module, (images(),))
    finished = pruner.finalize_copy(copy.deepcopy(module), force=True)
    assert "0.weight" in gp.from_torch(finished, (images(),)).graph.initializers


def test_a_mask_of_channels_is_not_exported_either() -> None:
    module, _ = prepared(recipe(start=0, length=4, pattern="channel"))
    with pytest.raises(PreconditionError, match=r"the mask of '0.weight' follows .*\[GP722\]"):
        torch.export.export(module.eval(), (images(),))


@pytest.mark.parametrize("pattern", ["unstructured", "block 4x1", "channel"])
def test_gradients_of_each_sample_are_those_of_a_loop(pattern: str) -> None:
    module, _ = prepared(recipe(start=0, length=2, pattern=pattern))
    module.eval()
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}

    def loss(values: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = torch.func.functional_call(module, values, (image[None],))
        return scores.square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, images(count=3))
    for index, image in enumerate(images(count=3)):
        module.zero_grad()
        module(image[None]).square().sum().backward()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(found[name][index], parameter.grad)
