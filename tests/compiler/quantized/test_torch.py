"""Modules that quantize: fake quantization, as it is trained with, and the operators of torch's export of integers."""

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed
from torch import nn

import graphprune

_LEVEL = 0.03


class Fake(nn.Module):
    """A convolution between fake quantizations, of its weight too."""

    def __init__(self, low: int) -> None:
        super().__init__()
        self.low = low
        self.scales: torch.Tensor
        self.zeros: torch.Tensor
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.register_buffer("scales", torch.full((4,), 0.01))
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images in, images out."""
        x = torch.fake_quantize_per_tensor_affine(x, 0.02, 120, 0, 255)
        w = torch.fake_quantize_per_channel_affine(self.conv.weight, self.scales, self.zeros, 0, self.low, 127)
        y = nn.functional.conv2d(x, w, self.conv.bias, padding=1)
        return torch.fake_quantize_per_tensor_affine(y.relu(), _LEVEL, 0, 0, 255)


class Exported(nn.Module):
    """A product in the operators that torch's export of quantized models is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.arange(-20, 20, dtype=torch.int8).reshape(5, 8))
        self.register_buffer("scales", torch.linspace(0.01, 0.03, 5))
        self.register_buffer("zeros", torch.zeros(5, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows in, rows out."""
        q = torch.ops.quantized_decomposed
        step = (0.02, 3, -128, 127, torch.int8)
        x = q.dequantize_per_tensor(q.quantize_per_tensor(x, *step), *step)
        w = q.dequantize_per_channel(self.w, self.scales, self.zeros, 0, -128, 127, torch.int8)
        return nn.functional.linear(x, w)


@pytest.mark.parametrize(
    ("module", "shape"), [(Fake(-128), (1, 2, 6, 6)), (Fake(-127), (1, 2, 6, 6)), (Exported(), (3, 8))]
)
def test_it_computes_what_torch_does(module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    model = graphprune.from_torch(module.eval(), (x,))
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph}
    (ours,) = graphprune.compile(model).run(None, {str(model.graph.inputs[0].name): x.numpy()})
    apart = np.abs(ours - module(x).detach().numpy())
    assert apart.max() <= 1.01 * _LEVEL
    assert (apart > 1e-5).mean() < 0.05
