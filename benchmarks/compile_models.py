"""Models whose kernels differ from node to node, for the time that compiling takes."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
import transformers as tf
from torch import nn

from graphprune.frontends.torch_module import from_torch
from graphprune.testing.models.seeding import seed_weights

SMALL = """<ir_version: 10, opset_import: ["" : 20]>
small (float[3,40] x) => (float[3,40] y) {
    a = Relu (x) b = Add (a, x) c = Sigmoid (b) d = Mul (c, a) y = Sub (d, x)
}"""


class Block(nn.Module):
    """A block of a Conv-TasNet: a depthwise convolution over time, its dilation given."""

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv1d(channels, hidden, 1), nn.Conv1d(hidden, channels, 1)
        self.over_time = nn.Conv1d(hidden, hidden, 3, dilation=dilation, padding=dilation, groups=hidden)
        self.activations = nn.ModuleList(nn.Sequential(nn.PReLU(), nn.GroupNorm(1, hidden)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input, and what the block adds to it."""
        first, second = self.activations
        result: torch.Tensor = x + self.leave(second(self.over_time(first(self.enter(x)))))
        return result


def _conv_tasnet() -> nn.Module:
    blocks = [Block(64, 128, 2**number) for _ in range(3) for number in range(8)]
    return nn.Sequential(nn.Conv1d(1, 64, 16, stride=8), *blocks, nn.ConvTranspose1d(64, 1, 16, stride=8))


class Oscillator(nn.Module):
    """A recurrence of 100 steps, each with constants of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The position after the last step."""
        speed = x * 0
        for step in range(100):
            speed = speed * 0.99 + (torch.sin(x * (step + 1) * 0.1) - x * (1 + step * 0.01)) * 0.1
            x = x + speed * (0.1 + 0.001 * step)
        return x


class Growing(nn.Module):
    """Attention of each token to those before it: every step has shapes of its own."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What each token sees."""
        query, keys, values = self.query(x), self.key(x).transpose(1, 2), self.value(x)
        seen = []
        for end in range(1, x.shape[1] + 1):
            shares = torch.softmax(query[:, end - 1 : end] @ keys[:, :, :end], -1)
            seen.append(shares @ values[:, :end])
        return torch.cat(seen, 1)


def _exported(make: Callable[[], nn.Module], *shape: int) -> ir.Model:
    model = from_torch(make().eval(), (torch.zeros(*shape),))
    seed_weights(model)
    return model


def _efficientnet() -> nn.Module:
    config = tf.EfficientNetConfig(image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280)
    return tf.EfficientNetForImageClassification(config)  # type: ignore[no-any-return]


MODELS: dict[str, Callable[[], ir.Model]] = {
    "small": lambda: ir.from_onnx_text(SMALL),
    "efficientnet_b0": lambda: _exported(_efficientnet, 1, 3, 224, 224),
    "conv_tasnet": lambda: _exported(_conv_tasnet, 1, 1, 8000),
    "oscillator": lambda: _exported(Oscillator, 1, 64),
    "growing_attention": lambda: _exported(Growing, 1, 48, 64),
    "patches_of_32": lambda: _exported(lambda: nn.Conv2d(3, 64, 32, stride=32), 1, 3, 224, 224),
}
