"""Classifiers at the size that people deploy, for those that `transformers` does not have; needs torch."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from graphprune.testing.models.networks import Residual, ShuffleUnit, SqueezeExcite, conv, head

_V3_LARGE = (
    # kernel, expanded, outputs, squeeze-and-excite, HardSwish, stride
    (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1),
)  # fmt: skip
"""Table 1 of arXiv 1905.02244."""
_V3_STAGES = (0, 3, 6, 12, 15)
"""Where its resolution halves."""


def resnext50(groups: int = 32, group_width: int = 4) -> nn.Module:
    """ResNeXt-50 32x4d (arXiv 1611.05431): bottlenecks with grouped convolutions."""
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        width, outputs = groups * group_width << stage, 256 << stage
        for number in range(count):
            stride = 2 if stage and not number else 1
            layers.append(_Bottleneck(inputs, width, outputs, stride, groups))
            inputs = outputs
    return nn.Sequential(*layers, head(inputs))


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        expand = nn.Sequential(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.body = nn.Sequential(conv(inputs, width, 1), conv(width, width, 3, stride, groups), expand)
        changes = stride > 1 or inputs != outputs
        short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = short if changes else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def _inverted(inputs: int, row: tuple[int, int, int, bool, bool, int]) -> nn.Module:
    kernel, wide, outputs, squeezes, is_hard, stride = row

    def act() -> nn.Module:
        return nn.Hardswish() if is_hard else nn.ReLU()

    body = nn.Sequential(
        nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), act(),
        nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False), nn.BatchNorm2d(wide),
        SqueezeExcite(wide) if squeezes else nn.Identity(), act(),
        nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
    )  # fmt: skip
    return Residual(body) if stride == 1 and inputs == outputs else body


class MobileNetV3Features(nn.Module):
    """MobileNetV3-Large after each stage: 24 channels at a fourth of the size, and so on to 160 at a 32nd."""

    channels = (24, 40, 112, 160)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        inputs = [16, *(row[2] for row in _V3_LARGE)]
        blocks = [_inverted(inputs[i], row) for i, row in enumerate(_V3_LARGE)]
        bounds = itertools.pairwise(_V3_STAGES)
        self.stages = nn.ModuleList(nn.Sequential(*blocks[begin:end]) for begin, end in bounds)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return a map a stage."""
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


class MobileNetV3(nn.Module):
    """MobileNetV3-Large, a classifier of 1,000 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = MobileNetV3Features()
        self.last = nn.Sequential(nn.Conv2d(160, 960, 1, bias=False), nn.BatchNorm2d(960), nn.Hardswish())
        self.scores = nn.Sequential(nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, 1000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of classes."""
        scores: torch.Tensor = self.scores(self.last(self.features(x)[-1]).mean((2, 3)))
        return scores


class _ShuffleDown(nn.Module):
    """Both halves are worked on, at half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.one = nn.Sequential(_depthwise(inputs), conv(inputs, half, 1))
        self.other = nn.Sequential(conv(inputs, half, 1), _depthwise(half), conv(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.stack([self.one(x), self.other(x)], 2)
        return joined.flatten(1, 2)


def _depthwise(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, 2, 1, groups=channels, bias=False), nn.BatchNorm2d(channels))


def shufflenet_v2() -> nn.Module:
    """ShuffleNetV2 1.0x (arXiv 1807.11164)."""
    layers: list[nn.Module] = [conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 24
    for outputs, count in ((116, 4), (232, 8), (464, 4)):
        layers += [_ShuffleDown(inputs, outputs), *(ShuffleUnit(outputs) for _ in range(count - 1))]
        inputs = outputs
    return nn.Sequential(*layers, conv(inputs, 1024, 1), head(1024))
