"""Small torch networks, one for each way in which convolutional architectures join their channels; needs torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def head(channels: int) -> nn.Sequential:
    """The mean over all positions, and ten scores."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Residual(nn.Module):
    """Adds its input to what `body` makes of it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add."""
        total: torch.Tensor = x + self.body(x)
        return total


def resnext(width: int = 32, groups: int = 8) -> nn.Module:
    """Bottlenecks with grouped convolutions (arXiv 1611.05431)."""

    def block() -> nn.Module:
        return Residual(
            nn.Sequential(conv(2 * width, width, 1), conv(width, width, groups=groups), conv(width, 2 * width, 1))
        )

    return nn.Sequential(conv(3, 2 * width, stride=2), block(), block(), head(2 * width))


class SqueezeExcite(nn.Module):
    """Scales channels by what their means say about them (arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels // 4, 1), nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1), nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale."""
        scaled: torch.Tensor = x * self.gate(x)
        return scaled


def mobilenet_v3(width: int = 16) -> nn.Module:
    """Inverted residuals with squeeze-and-excite and HardSwish (arXiv 1905.02244)."""

    def block(outputs: int) -> nn.Module:
        wide = 4 * width
        return nn.Sequential(
            nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            nn.Conv2d(wide, wide, 5, 1, 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            SqueezeExcite(wide), nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    return nn.Sequential(conv(3, width, stride=2), Residual(block(width)), block(2 * width), head(2 * width))


class ShuffleUnit(nn.Module):
    """Half of the channels pass, half are worked on, and then all are shuffled (ShuffleNetV2, arXiv 1807.11164)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(conv(half, half, 1), conv(half, half, groups=half), conv(half, half, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Split, work, join, shuffle."""
        one, other = x.chunk(2, 1)
        joined = torch.cat([one, self.body(other)], 1)
        n, channels, height, width = joined.shape
        return joined.reshape(n, 2, channels // 2, height, width).transpose(1, 2).reshape(n, channels, height, width)


def shufflenet_v2(width: int = 32) -> nn.Module:
    """Three units between a stem and a wide convolution."""
    units = [ShuffleUnit(width) for _ in range(3)]
    return nn.Sequential(conv(3, width, stride=2), *units, conv(width, 2 * width, 1), head(2 * width))


class UNet(nn.Module):
    """Down and up again, once by a transposed convolution and once by resizing, with connections across."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.second = conv(3, width), conv(width, 2 * width, stride=2)
        self.third = conv(2 * width, 4 * width, stride=2)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.joined, self.last = conv(4 * width, 2 * width), conv(3 * width, width)
        self.scores = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of every pixel."""
        first = self.first(x)
        second = self.second(first)
        deep = self.joined(torch.cat([self.up(self.third(second)), second], 1))
        wide = functional.interpolate(deep, scale_factor=2.0, mode="bilinear")
        scores: torch.Tensor = self.scores(self.last(torch.cat([wide, first], 1)))
        return scores


class Detector(nn.Module):
    """A neck that mixes two scales, and heads whose boxes and classes are flattened and joined, as YOLO has them."""

    def __init__(self, width: int = 16, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 2, 1), nn.SiLU())
        self.down = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.SiLU())
        self.pools = nn.Sequential(nn.Conv2d(6 * width, 2 * width, 1), nn.SiLU())
        self.lateral = nn.Conv2d(2 * width, width, 1)
        self.mixed = nn.Sequential(nn.Conv2d(2 * width, 2 * width, 3, 1, 1), nn.SiLU())
        self.after = nn.Sequential(nn.Conv2d(2 * width, width, 3, 1, 1), nn.SiLU())
        self.boxes = nn.ModuleList(nn.Conv2d(channels, 4, 1) for channels in (width, 2 * width))
        self.classes = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in (width, 2 * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [N, 4 + classes, positions]."""
        fine = self.stem(x)
        coarse = self.down(fine)
        pooled = functional.max_pool2d(coarse, 5, 1, 2)
        coarse = self.pools(torch.cat([coarse, pooled, functional.max_pool2d(pooled, 5, 1, 2)], 1))
        up = functional.interpolate(self.lateral(coarse), scale_factor=2.0, mode="nearest")
        one, other = self.mixed(torch.cat([up, fine], 1)).chunk(2, 1)
        scales = [self.after(torch.cat([one + other, fine], 1)), coarse]
        found = [
            torch.cat([boxes(scale), classes(scale).sigmoid()], 1).flatten(2)
            for scale, boxes, classes in zip(scales, self.boxes, self.classes, strict=True)
        ]
        return torch.cat(found, 2)


class DiffusionBlock(nn.Module):
    """Group norms, SiLU and an embedded time step that is added to every position, as in a diffusion U-Net."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 3, padding=1)
        self.norm1, self.conv1 = nn.GroupNorm(8, width), nn.Conv2d(width, 2 * width, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(16, 4 * width), nn.SiLU(), nn.Linear(4 * width, 2 * width))
        self.norm2, self.conv2 = nn.GroupNorm(8, 2 * width), nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.skip, self.out = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, 4, 3, padding=1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Return the noise in `x` [N, 4, H, W] at `time`, embedded [N, 16]."""
        stem = self.stem(x)
        hidden = self.conv1(functional.silu(self.norm1(stem))) + self.time(time)[:, :, None, None]
        hidden = self.conv2(functional.silu(self.norm2(hidden))) + self.skip(stem)
        noise: torch.Tensor = self.out(functional.silu(hidden))
        return noise
