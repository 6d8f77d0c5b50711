"""Detectors at the size that people deploy; needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from graphprune.testing.models.classifiers import MobileNetV3Features
from graphprune.testing.models.networks import Residual, conv


def _silu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
    )


class _Mixed(nn.Module):
    """Halves that go through bottlenecks, every step of which is joined at the end (YOLOv8's C2f)."""

    def __init__(self, inputs: int, outputs: int, count: int, *, adds: bool) -> None:
        super().__init__()
        half = outputs // 2
        bodies = [nn.Sequential(_silu(half, half), _silu(half, half)) for _ in range(count)]
        self.first = _silu(inputs, outputs, 1)
        self.blocks = nn.ModuleList(Residual(body) if adds else body for body in bodies)
        self.last = _silu((2 + count) * half, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts: list[torch.Tensor] = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        mixed: torch.Tensor = self.last(torch.cat(parts, 1))
        return mixed


class _Pools(nn.Module):
    """Three poolings in a row, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = _silu(channels, channels // 2, 1), _silu(2 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(functional.max_pool2d(parts[-1], 5, 1, 2))
        pooled: torch.Tensor = self.last(torch.cat(parts, 1))
        return pooled


class Yolo(nn.Module):
    """A detector of the shape of YOLOv8n: three scales, mixed upwards and downwards, distances as distributions."""

    bins = 16

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 256), classes: int = 80) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(_silu(3, a, 3, 2), _silu(a, b, 3, 2), _Mixed(b, b, 1, adds=True))
        self.fine = nn.Sequential(_silu(b, c, 3, 2), _Mixed(c, c, 2, adds=True))
        self.middle = nn.Sequential(_silu(c, d, 3, 2), _Mixed(d, d, 2, adds=True))
        self.coarse = nn.Sequential(_silu(d, e, 3, 2), _Mixed(e, e, 1, adds=True), _Pools(e))
        self.up = nn.ModuleList([_Mixed(d + e, d, 1, adds=False), _Mixed(c + d, c, 1, adds=False)])
        self.down = nn.ModuleList([_silu(c, c, 3, 2), _silu(d, d, 3, 2)])
        self.after = nn.ModuleList([_Mixed(c + d, d, 1, adds=False), _Mixed(d + e, e, 1, adds=False)])
        sizes = (c, d, e)
        self.boxes = nn.ModuleList(_branch(size, 4 * self.bins, 4 * self.bins) for size in sizes)
        self.classes = nn.ModuleList(_branch(size, classes, classes) for size in sizes)
        self.register_buffer("places", torch.arange(self.bins, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [N, 4 + classes, positions]: distances to the four sides, and how likely each class is."""
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.up[0](torch.cat([_twofold(coarse), middle], 1))
        fine = self.up[1](torch.cat([_twofold(middle), fine], 1))
        middle = self.after[0](torch.cat([self.down[0](fine), middle], 1))
        coarse = self.after[1](torch.cat([self.down[1](middle), coarse], 1))
        scales = (fine, middle, coarse)
        boxes = torch.cat([branch(s).flatten(2) for branch, s in zip(self.boxes, scales, strict=True)], 2)
        classes = torch.cat([branch(s).flatten(2) for branch, s in zip(self.classes, scales, strict=True)], 2)
        shares = boxes.reshape(boxes.shape[0], 4, self.bins, -1).softmax(2)
        distances = (shares * self.places[:, None]).sum(2)  # type: ignore[index] # a buffer
        return torch.cat([distances, classes.sigmoid()], 1)


def _branch(inputs: int, width: int, outputs: int) -> nn.Module:
    return nn.Sequential(_silu(inputs, width), _silu(width, width), nn.Conv2d(width, outputs, 1))


def _twofold(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Ssd(nn.Module):
    """Boxes and classes on four maps of MobileNetV3 (SSDLite), before what overlaps is taken out."""

    anchors = 6

    def __init__(self, classes: int = 91) -> None:
        super().__init__()
        self.count = classes
        self.features = MobileNetV3Features()
        self.coarsest = nn.Sequential(conv(160, 128, 1), conv(128, 128, 3, 2, 128), conv(128, 256, 1))
        sizes = (112, 160, 256)
        self.boxes = nn.ModuleList(self._branch(size, 4) for size in sizes)
        self.classes = nn.ModuleList(self._branch(size, classes) for size in sizes)

    def _branch(self, channels: int, each: int) -> nn.Module:
        return nn.Sequential(conv(channels, channels, groups=channels), nn.Conv2d(channels, self.anchors * each, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes [N, anchors, 4] and shares of the classes [N, anchors, classes]."""
        maps = self.features(x)[2:]
        maps.append(self.coarsest(maps[-1]))

        def rows(branches: nn.ModuleList, each: int) -> torch.Tensor:
            found = [branch(m).permute(0, 2, 3, 1) for branch, m in zip(branches, maps, strict=True)]
            return torch.cat([f.reshape(f.shape[0], -1, each) for f in found], 1)

        return rows(self.boxes, 4), rows(self.classes, self.count).softmax(2)
