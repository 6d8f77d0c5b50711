"""ResNet-20 for 32x32 images (He et al. 2016, section 4.2), with projections where a block changes its shape."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: `[B, channels, H, W]` to `[B, features, H / stride, W / stride]`."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(features)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != features:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, features, 1, stride, bias=False), nn.BatchNorm2d(features)
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the block's features."""
        hidden = functional.relu(self.bn1(self.conv1(images)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(images))


class ResNet(nn.Module):
    """A stem, one stage of blocks for each width, and a linear classifier; ResNet-20 has three blocks a stage."""

    def __init__(self, blocks: int = 3, widths: tuple[int, ...] = (16, 32, 64), classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        stages = [_stage(channels, features, blocks) for channels, features in pairwise((widths[0], *widths))]
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores `[B, classes]` of images `[B, 3, H, W]`."""
        features = self.stages(functional.relu(self.bn(self.conv(images))))
        scores: torch.Tensor = self.classifier(features.mean((2, 3)))
        return scores


def _stage(channels: int, features: int, blocks: int) -> nn.Sequential:
    """Blocks of one width; the first of a wider stage halves the resolution."""
    first = Block(channels, features, 1 if channels == features else 2)
    return nn.Sequential(first, *(Block(features, features, 1) for _ in range(blocks - 1)))
