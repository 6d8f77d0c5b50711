"""Soft masks as operators: what the functions give, forward and backward, and nothing compiled anew on a ramp."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from graphprune.masks import pdp, torch_operators
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.temperature import Temperature
from graphprune.masks.torch_operators import Ramp, soft_masked, soft_units

AXES = WeightAxes(0, 1)
PATTERNS = ["unstructured", "2:4", "block 4x1", "2:4x4"]


def ramp(ratio: float = 1.0, tau: float = 0.1, *, sampled: bool = False) -> Ramp:
    budget, so_far, temperature = torch.tensor([0.5, ratio, tau], dtype=torch.float64).unbind()
    return Ramp(budget, so_far, temperature, relative=True, sampled=sampled)


def numbers(ratio: float, tau: float) -> dict[str, Any]:
    temperature = Temperature(tau, relative=True) if tau else None
    return {"budget": 0.5, "ratio": ratio, "temperature": temperature}


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()


def gradient(made: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    incoming = torch.linspace(-1, 1, made.numel()).reshape(made.shape).to(made.dtype)
    return torch.autograd.grad(made, source, incoming)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("ratio", "tau"), [(1.0, 0.1), (0.5, 0.1), (0.0, 0.1), (1.0, 0.0)])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_weights(pattern: str, ratio: float, tau: float, dtype: torch.dtype) -> None:
    weight = drawn(16, 8, 3, 3, dtype=dtype)
    found = soft_masked(weight, ramp(ratio, tau), pattern, AXES)
    expected = pdp.soft_masked(weight, pattern=parse_pattern(pattern), axes=AXES, **numbers(ratio, tau))
    assert torch.equal(found, expected)
    assert found.dtype == dtype
    torch.testing.assert_close(gradient(found, weight), gradient(expected, weight))


@pytest.mark.parametrize(("ratio", "tau"), [(1.0, 0.1), (0.5, 0.1), (0.0, 0.1), (1.0, 0.0)])
def test_units(ratio: float, tau: float) -> None:
    scores = (drawn(40) ** 2).detach().requires_grad_()
    found = soft_units(scores, ramp(ratio, tau))
    expected = pdp.channel_mask(scores * 1.0, **numbers(ratio, tau))
    assert torch.equal(found, expected)
    if expected.requires_grad:
        torch.testing.assert_close(gradient(found, scores), gradient(expected, scores))


def test_estimated_thresholds_are_those_of_the_function() -> None:
    weight = drawn(512, 256)
    exact, sampled = (soft_masked(weight, ramp(sampled=how), "unstructured", AXES) for how in (False, True))
    assert not torch.equal(exact, sampled)
    torch.testing.assert_close(gradient(sampled, weight), gradient(exact, weight), rtol=0.2, atol=0.05)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_torch_takes_them_for_sound_operators(pattern: str) -> None:
    weight = drawn(16, 8, 3, 3).to(memory_format=torch.channels_last).detach().requires_grad_()
    torch.library.opcheck(torch_operators.OPERATOR, (weight, *ramp().values, pattern, [0, 1]))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_ramp_is_compiled_once(pattern: str) -> None:
    weight = drawn(16, 8)
    torch._dynamo.reset()
    counters.clear()

    def masked(values: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        budget, ratio, temperature = tensors
        return soft_masked(values, Ramp(budget, ratio, temperature, relative=True), pattern, AXES)

    compiled = torch.compile(masked, backend="aot_eager", fullgraph=True)
    for ratio, tau in ((0.0, 0.1), (0.5, 0.05), (1.0, 0.0)):
        now = ramp(ratio, tau)
        tensors = now.budget, now.ratio, now.temperature
        found, expected = compiled(weight, *tensors), masked(weight, *tensors)
        torch.testing.assert_close(gradient(found, weight), gradient(expected, weight))
    assert counters["stats"]["unique_graphs"] == 1
