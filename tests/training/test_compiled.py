"""`torch.compile` of modules under masks: one graph without breaks, for the whole schedule; no backend needs C++."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.optim.swa_utils import AveragedModel

import graphprune as gp
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.training import Pruner, prepare
from tests.training.small import images, network, prepared, recipe, sgd, train
from tests.weighted import inferred_model

METHODS: dict[str, dict[str, Any]] = {
    "pdp": {},
    "pdp, cooling to hard masks": {"training": {"temperature": "1t2", "final_temperature": "0"}},
    "pdp, 2:4": {"pattern": "2:4", "sparsity": None},
    "pdp, block 4x1": {"pattern": "block 4x1"},
    "pdp, channel": {"pattern": "channel"},
    "gmp": {"training": {"method": "gmp"}},
    "gmp, channel": {"pattern": "channel", "training": {"method": "gmp"}},
    "one-shot": {"training": {"method": "one-shot"}},
    "sr-ste": {"pattern": "2:4", "sparsity": None, "training": {"method": "sr-ste"}},
    "str": {"training": {"method": "str"}},
}


def compiled(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    torch._dynamo.reset()
    counters.clear()
    return torch.compile(module, backend="aot_eager", fullgraph=True)


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def run(module: nn.Module, call: Callable[[torch.Tensor], torch.Tensor], pruner: Pruner) -> list[torch.Tensor]:
    """Seven steps of training, with an evaluation after each; two are dense, and four the ramp."""
    optimizer, seen = sgd(module), []
    for step in range(7):
        module.train()
        optimizer.zero_grad()
        call(images(step)).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pruner.step()
        module.eval()
        with torch.no_grad():
            seen.append(call(images(9)))
    return seen


@pytest.mark.parametrize("how", METHODS)
def test_training_is_compiled_once_for_all_of_the_schedule(how: str) -> None:
    module, pruner = prepared(recipe(start=2, length=4, **copy.deepcopy(METHODS[how])))
    plain, other = copy.deepcopy((module, pruner))
    expected = run(plain, plain, other)
    found = run(module, compiled(module), pruner)
    assert graphs() == 2  # of training and of evaluation
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for one, two in zip(pruner.finalize().parameters(), other.finalize().parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_an_evaluation_with_hard_masks_is_compiled_too() -> None:
    module, pruner = prepared(recipe(start=0, length=4))
    call = compiled(module.eval())
    soft = call(images())
    with pruner.hardened() as hard:
        torch.testing.assert_close(call(images()), hard(images()))
    torch.testing.assert_close(call(images()), soft)


@pytest.mark.parametrize("how", ["pdp", "gmp", "str", "pdp, channel"])
def test_a_compiled_average_follows_the_schedule(how: str) -> None:
    module, pruner = prepared(recipe(start=1, length=2, **copy.deepcopy(METHODS[how])))
    average = AveragedModel(module, avg_fn=lambda old, new, _: (old + new) / 2).eval()
    call = compiled(average.module)
    optimizer = sgd(module)
    for step in range(4):
        train(module, optimizer, pruner, step, step + 1)
        average.update_parameters(module)
        torch.testing.assert_close(call(images()), copy.deepcopy(average.module)(images()))
    assert graphs() == 1


def test_a_compiled_run_goes_on_from_a_state() -> None:
    made = recipe(start=1, length=4)
    module, pruner = prepared(made)
    train(module, sgd(module), pruner, 0, 3)
    again, other = prepared(made, seed=7)
    call = compiled(again.eval())
    call(images())  # of the dense phase
    again.load_state_dict(module.state_dict())
    other.load_state_dict(pruner.state_dict())
    torch.testing.assert_close(call(images()), module.eval()(images()))


@pytest.mark.parametrize("masked", [False, True])
def test_a_module_of_a_file_is_compiled(masked: bool) -> None:  # noqa: FBT001 - pytest's parameter
    model = gp.from_torch(network(), (images(),))
    if masked:
        plan = gp.plan(model, gp.Recipe(sparsity=0.5))
        model = gp.Pipeline([InsertSoftMasks(plan=plan, temperature="0.1t2")]).run(model).model
    module = gp.to_torch(model)
    plain = copy.deepcopy(module)
    call = compiled(module)
    for mode in (True, False):
        for step in range(3):
            if masked:
                for each in (module, plain):
                    each.get_buffer("0.weight_temperature").fill_(0.1 / (step + 1))
            results = []
            for each, called in ((module, call), (plain, plain)):
                each.train(mode)
                each.zero_grad()
                made = called(images(step))
                made.square().mean().backward()
                results += [made, each.get_parameter("0.weight").grad]
            torch.testing.assert_close(results[:2], results[2:], rtol=1e-4, atol=1e-5)
    assert graphs() == 2


def test_a_prepared_module_of_a_file_is_compiled() -> None:
    text = """main (float[N,16] x, float[16,16] w, float[16,16] w2) => (float[N,16] y) {
        h = MatMul (x, w)
        r = Relu (h)
        y = MatMul (r, w2)
    }"""
    module, x = gp.to_torch(inferred_model(text)), torch.randn(3, 16)
    pruner = prepare(module, (x,), recipe(start=1, length=3))
    call, optimizer = compiled(module), sgd(module)
    for _ in range(5):
        optimizer.zero_grad()
        call(x).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pruner.step()
        torch.testing.assert_close(call(x), module(x))
    assert graphs() == 1
