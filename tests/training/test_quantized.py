"""Masks and fake quantizers together: masks see the floats, and exports hold integers with the same zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.ao import quantization as ao

import graphprune as gp
from graphprune.analysis.weights import linear_weights
from graphprune.training import Pruner, prepare
from tests.training.small import images, recipe, sgd, train

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*reduce_range.*:UserWarning"),
]


class StraightThrough(nn.Module):
    """A quantizer of a weight as one writes it by hand: symmetric, a scale for each output."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        largest = weight.detach().abs().amax(tuple(range(1, weight.dim())), keepdim=True)
        scale = (largest / 127).clamp_min(1e-8)
        levels = torch.clamp(torch.round(weight / scale), -127, 127)
        quantized: torch.Tensor = weight + (levels * scale - weight).detach()
        return quantized


class Convolution(nn.Conv2d):
    """A convolution of a quantized weight."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.quantizer = StraightThrough()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convolved: torch.Tensor = self._conv_forward(x, self.quantizer(self.weight), self.bias)
        return convolved


class Network(nn.Module):
    """Two convolutions with norms, and a linear layer, between torch's stubs."""

    def __init__(self, convolution: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()
        self.first, self.norm, self.relu = convolution(8, 12), nn.BatchNorm2d(12), nn.ReLU()
        self.second = convolution(12, 8)
        self.linear = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.first(self.quant(x))))
        scores: torch.Tensor = self.dequant(self.linear(self.second(x).mean((2, 3))))
        return scores


def by_hand() -> nn.Module:
    torch.manual_seed(0)
    return Network(Convolution)


def by_torch() -> nn.Module:
    torch.manual_seed(0)
    module = quantized_by_torch(["first", "norm", "relu"])
    module(images())
    return module


def quantized_by_torch(*fused: list[str]) -> nn.Module:
    """The network as torch prepares it, without a value seen."""
    module: Any = Network(lambda inputs, outputs: nn.Conv2d(inputs, outputs, 3, padding=1)).train()
    module.qconfig = ao.get_default_qat_qconfig("x86")  # type: ignore[no-untyped-call]
    module = ao.fuse_modules_qat(module, list(fused)) if fused else module  # type: ignore[no-untyped-call]
    made: nn.Module = ao.prepare_qat(module)  # type: ignore[no-untyped-call]
    return made


def trained(module: nn.Module, keys: dict[str, Any]) -> Pruner:
    """Train to the end of the schedule."""
    pruner = prepare(module, (images(),), recipe(**keys))
    train(module, sgd(module), pruner, 0, 6)
    return pruner


def integers_of(model: ir.Model) -> dict[str, np.ndarray]:
    return {weight.name: weight.tensor.numpy() for weight in linear_weights(model)[0] if weight.quantization}


@pytest.mark.parametrize("made", [by_hand, by_torch])
@pytest.mark.parametrize("keys", [{"sparsity": 0.75}, {"sparsity": None, "pattern": "1:4"}, {"pattern": "block 1x4"}])
def test_masks_that_are_trained_through_quantizers_are_zeros_of_the_integers(
    made: Callable[[], nn.Module], keys: dict[str, Any]
) -> None:
    module = made()
    pruner = trained(module, keys)
    assert {site.name for site in pruner.sites} >= {"first.weight", "second.weight"}
    finished = pruner.finalize().eval()
    model = gp.from_torch(finished, (images(),))
    integers = integers_of(model)
    assert {"first.weight_quantized", "second.weight_quantized"} <= set(integers)
    for name in ("first.weight", "second.weight"):
        weight, stored = finished.get_parameter(name).detach().numpy(), integers[f"{name}_quantized"]
        assert (weight == 0).mean() == pytest.approx(0.75, abs=0.02)
        assert stored.dtype == np.int8
        assert not stored[weight == 0].any(), "a zero is a zero"
        assert (stored == 0).mean() < 0.85, "and few others are"
    finished.apply(ao.disable_observer)
    (found,) = gp.compile(model).run(None, {str(model.graph.inputs[0].name): images().numpy()})
    expected = finished(images()).detach().numpy()
    levels = 0.0 if made is by_hand else 1.01 * float(finished.get_buffer("linear.activation_post_process.scale"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=max(levels, 1e-5))


def test_the_mask_is_chosen_by_the_floats_and_not_by_the_integers() -> None:
    """All weights of an output lie within one level of its largest: integers could not tell them apart."""
    module = by_hand()
    first = module.get_parameter("first.weight")
    with torch.no_grad():
        order = torch.linspace(1, 1.001, first[0].numel())
        first.copy_(order.reshape(first[0].shape).expand_as(first))
    pruner = prepare(module, (images(),), recipe(start=0, length=None))
    mask = next(site.mask.hardened(site.weight()) for site in pruner.sites if site.name == "first.weight")
    keep = mask[0].flatten() != 0
    assert keep.sum() == round(0.25 * keep.numel())
    assert keep[-int(keep.sum()) :].all()


def test_gradients_reach_the_floats_behind_the_quantizer() -> None:
    module = by_hand()
    pruner = prepare(module, (images(),), recipe(start=0))
    module(images()).square().mean().backward()
    gradients = {site.name: site.parameter.grad for site in pruner.sites}
    assert all(gradient is not None and gradient.any() for gradient in gradients.values())


def test_a_module_whose_quantizers_have_seen_nothing_can_be_prepared() -> None:
    pruner = prepare(quantized_by_torch(), (images(),), recipe())
    assert {site.name for site in pruner.sites} == {"first.weight", "second.weight", "linear.weight"}


def test_channels_are_coupled_through_quantizers() -> None:
    module = by_torch()
    pruner = prepare(module, (images(),), recipe(pattern="channel", sparsity=0.5))
    assert any(group.name for group in pruner.groups)
