"""Networks for sound at the size that people deploy: convolutions of one axis and recurrent layers; needs torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from graphprune.testing.models.networks import conv


def conv1d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    layer = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm1d(outputs), nn.ReLU())


class Segmenter(nn.Module):
    """A U-Net of one axis: four levels, up by transposed convolutions."""

    def __init__(self, channels: int = 1, width: int = 32, classes: int = 4) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        pairs = zip([channels, *widths], widths, strict=False)
        self.down = nn.ModuleList(nn.Sequential(conv1d(a, b, 9), conv1d(b, b, 9)) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose1d(2 * w, w, 8, 4, 2) for w in widths[-2::-1])
        self.joined = nn.ModuleList(conv1d(2 * w, w, 9) for w in widths[-2::-1])
        self.scores = nn.Conv1d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of every sample of `x` [N, channels, samples], of which there are whole 256s."""
        maps = [self.down[0](x)]
        for level in list(self.down)[1:]:
            maps.append(level(functional.max_pool1d(maps[-1], 4)))
        x = maps.pop()
        for up, joined in zip(self.up, self.joined, strict=True):
            x = joined(torch.cat([up(x), maps.pop()], 1))
        scores: torch.Tensor = self.scores(x)
        return scores


class _TemporalBlock(nn.Module):
    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, hidden, 1), nn.PReLU(), nn.GroupNorm(1, hidden),
            nn.Conv1d(hidden, hidden, 3, padding=dilation, dilation=dilation, groups=hidden), nn.PReLU(),
            nn.GroupNorm(1, hidden),
        )  # fmt: skip
        self.on, self.aside = nn.Conv1d(hidden, width, 1), nn.Conv1d(hidden, width, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.body(x)
        return x + self.on(hidden), self.aside(hidden)


class ConvTasNet(nn.Module):
    """Separates two speakers (arXiv 1809.07454): masks on a learned transform, by 24 dilated blocks."""

    speakers = 2

    def __init__(self, filters: int = 512, length: int = 16, width: int = 128, hidden: int = 512) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, filters, length, length // 2, bias=False)
        self.first = nn.Sequential(nn.GroupNorm(1, filters), nn.Conv1d(filters, width, 1))
        self.blocks = nn.ModuleList(_TemporalBlock(width, hidden, 1 << d) for _ in range(3) for d in range(8))
        self.masks = nn.Sequential(nn.PReLU(), nn.Conv1d(width, self.speakers * filters, 1), nn.ReLU())
        self.decoder = nn.ConvTranspose1d(filters, 1, length, length // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the waves of the speakers in `x` [1, 1, samples]."""
        wave = functional.relu(self.encoder(x))
        hidden, total = self.first(wave), torch.zeros(())
        for block in self.blocks:
            hidden, aside = block(hidden)
            total = total + aside
        masks = self.masks(total).unflatten(1, (self.speakers, -1))[0]
        speakers: torch.Tensor = self.decoder(masks * wave)
        return speakers


def keyword_spotter(width: int = 172, words: int = 12) -> nn.Module:
    """DS-CNN L (arXiv 1711.07128) on 49 frames of 10 features: depthwise and pointwise convolutions."""

    def block() -> nn.Module:
        return nn.Sequential(conv(width, width, groups=width), conv(width, width, 1))

    stem = nn.Sequential(nn.Conv2d(1, width, (10, 4), (2, 1), (4, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU())
    tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, words))
    return nn.Sequential(stem, *(block() for _ in range(5)), *tail)


class UnrolledSpotter(nn.Module):
    """A keyword spotter whose GRU cell is written out step by step, as some exporters leave it."""

    def __init__(self, features: int = 40, hidden: int = 128, words: int = 12) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(features, 3 * hidden), nn.Linear(hidden, 3 * hidden)
        self.scores = nn.Linear(hidden, words)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of the words in `x` [N, frames, features]."""
        state = torch.zeros(x.shape[0], self.states.in_features)
        for frame in x.unbind(1):
            reset, update, new = self.inputs(frame).chunk(3, 1)
            of_reset, of_update, of_new = self.states(state).chunk(3, 1)
            gate = torch.sigmoid(update + of_update)
            state = gate * state + (1 - gate) * torch.tanh(new + torch.sigmoid(reset + of_reset) * of_new)
        scores: torch.Tensor = self.scores(state)
        return scores


class NoiseSuppressor(nn.Module):
    """Gains of bands from three GRUs, of which the later ones read what the earlier ones say (arXiv 1709.08243)."""

    def __init__(self, features: int = 42, bands: int = 22) -> None:
        super().__init__()
        self.first = nn.Linear(features, 24)
        self.voice, self.noise = nn.GRU(24, 24, batch_first=True), nn.GRU(90, 48, batch_first=True)
        self.gain, self.gains = nn.GRU(114, 96, batch_first=True), nn.Linear(96, bands)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gain of each band in each frame of `x` [N, frames, features]."""
        first = torch.tanh(self.first(x))
        voice, _ = self.voice(first)
        noise, _ = self.noise(torch.cat([first, voice, x], 2))
        gain, _ = self.gain(torch.cat([voice, noise, x], 2))
        return torch.sigmoid(self.gains(gain))


class AcousticModel(nn.Module):
    """Three bidirectional LSTMs over frames, and the logarithms of the shares of letters: the core of CTC models."""

    def __init__(self, features: int = 80, hidden: int = 320, letters: int = 29) -> None:
        super().__init__()
        self.layers = nn.LSTM(features, hidden, 3, bidirectional=True, batch_first=True)
        self.letters = nn.Linear(2 * hidden, letters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [N, frames, letters] of frames [N, frames, features]."""
        steps, _ = self.layers(x)
        return functional.log_softmax(self.letters(steps), 2)
