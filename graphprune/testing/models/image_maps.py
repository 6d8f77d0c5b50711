"""Networks that make images, maps or text of images, at the size that people deploy; needs torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from graphprune.testing.models.classifiers import MobileNetV3Features
from graphprune.testing.models.networks import Residual, conv


class UNet(nn.Module):
    """Four levels down by pooling and up by transposed convolutions (arXiv 1505.04597), at half its width."""

    def __init__(self, width: int = 32, classes: int = 2) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        self.down = nn.ModuleList(_twice(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1])
        self.joined = nn.ModuleList(_twice(2 * w, w) for w in widths[-2::-1])
        self.scores = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of every pixel."""
        maps = [self.down[0](x)]
        for level in list(self.down)[1:]:
            maps.append(level(functional.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            x = joined(torch.cat([up(x), maps.pop()], 1))
        scores: torch.Tensor = self.scores(x)
        return scores


def _twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(conv(inputs, outputs), conv(outputs, outputs))


class TextDetector(nn.Module):
    """MobileNetV3, a pyramid of its maps, and a head of transposed convolutions: DB (arXiv 1911.08947)."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.features = MobileNetV3Features()
        quarter = width // 4
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in self.features.channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, quarter, 3, 1, 1, bias=False) for _ in self.features.channels)
        self.head = nn.Sequential(
            conv(width, quarter), nn.ConvTranspose2d(quarter, quarter, 2, 2), nn.BatchNorm2d(quarter), nn.ReLU(),
            nn.ConvTranspose2d(quarter, 1, 2, 2), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return how likely each pixel is text."""
        maps = [lateral(each) for lateral, each in zip(self.lateral, self.features(x), strict=True)]
        for i in (2, 1, 0):
            maps[i] = maps[i] + functional.interpolate(maps[i + 1], scale_factor=2.0, mode="nearest")
        smooth = [layer(each) for layer, each in zip(self.smooth, maps, strict=True)]
        joined = [functional.interpolate(s, scale_factor=float(1 << i), mode="nearest") for i, s in enumerate(smooth)]
        likely: torch.Tensor = self.head(torch.cat(joined, 1))
        return likely


class TextRecognizer(nn.Module):
    """Convolutions whose columns are the steps of two bidirectional LSTMs: CRNN (arXiv 1507.05717)."""

    def __init__(self, characters: int = 97, hidden: int = 256) -> None:
        super().__init__()
        half = nn.MaxPool2d((2, 1))
        self.columns = nn.Sequential(
            conv(1, 64), nn.MaxPool2d(2), conv(64, 128), nn.MaxPool2d(2), conv(128, 256), conv(256, 256), half,
            conv(256, 512), conv(512, 512), half, nn.Conv2d(512, 512, (2, 1)), nn.BatchNorm2d(512), nn.ReLU(),
        )  # fmt: skip
        self.steps = nn.LSTM(512, hidden, 2, bidirectional=True, batch_first=True)
        self.scores = nn.Linear(2 * hidden, characters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of characters for each column of lines [N, 1, 32, W]."""
        steps, _ = self.steps(self.columns(x).squeeze(2).transpose(1, 2))
        scores: torch.Tensor = self.scores(steps)
        return scores


class SuperResolution(nn.Module):
    """Residual blocks without norms, then pixels out of channels: EDSR's baseline (arXiv 1707.02921)."""

    def __init__(self, width: int = 64, blocks: int = 16, factor: int = 2) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int) -> nn.Module:
            return nn.Conv2d(inputs, outputs, 3, 1, 1)

        body = [Residual(nn.Sequential(layer(width, width), nn.ReLU(), layer(width, width))) for _ in range(blocks)]
        self.first, self.body = layer(3, width), Residual(nn.Sequential(*body, layer(width, width)))
        self.pixels = nn.Sequential(layer(width, width * factor**2), nn.PixelShuffle(factor), layer(width, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a larger image."""
        larger: torch.Tensor = self.pixels(self.body(self.first(x)))
        return larger
