"""Fake quantizers in front of the products of the accuracy study's network."""

import pytest
import torch

from benchmarks.accuracy.model import ResNet
from benchmarks.accuracy.quantized import Input, quantize_aware


@pytest.fixture
def module() -> ResNet:
    torch.manual_seed(0)
    made = ResNet(1, (4, 8))
    quantize_aware(made)
    return made


def image(size: float = 1.0) -> torch.Tensor:
    return size * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def scales(module: ResNet) -> list[torch.Tensor]:
    return [child.scale.clone() for child in module.modules() if isinstance(child, Input)]


def test_every_product_is_quantized_and_weights_keep_their_names(module: ResNet) -> None:
    assert {name for name, _ in ResNet(1, (4, 8)).named_parameters()} == {name for name, _ in module.named_parameters()}
    assert len(scales(module)) == 7  # the stem, two blocks of two, a shortcut and the classifier
    scores = module(image())
    scores.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    plain = ResNet(1, (4, 8))
    plain.load_state_dict({name: value for name, value in module.state_dict().items() if name in plain.state_dict()})
    assert 0 < float((plain(image()) - scores).abs().max()) < 0.2 * float(scores.abs().max())


def test_inputs_are_observed_in_training_only(module: ResNet) -> None:
    module(image())
    before = scales(module)
    module.eval()(image(100))
    assert all(map(torch.equal, before, scales(module)))
    module.train()(image(100))
    assert not torch.equal(before[0], scales(module)[0])


def test_halves_are_quantized_in_float32(module: ResNet) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(module(image())).all()
