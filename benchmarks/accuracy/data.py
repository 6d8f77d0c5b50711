"""CIFAR-10 from one .npz of JPEG files: decoded once, then kept as arrays in a cache folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_BORDER = 4


@dataclass(frozen=True)
class Split:
    """Images as uint8 [N, 32, 32, 3] and their labels as int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


def load_split(source: Path, cache: Path, name: str) -> Split:
    """Return the split `train` or `test` of `source`, decoding it into `cache` the first time."""
    with np.load(source, allow_pickle=False) as archive:
        decoded = cache / f"cifar10_{name}.npy"
        if not decoded.exists():
            _save(decoded, _decoded(archive[f"{name}_bytes"], archive[f"{name}_offsets"]))
        labels = archive[f"{name}_labels"].astype(np.int64)
    return Split(torch.from_numpy(np.load(decoded, allow_pickle=False)), torch.from_numpy(labels))


def training_batches(split: Split, size: int, seed: int, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield normalised float32 batches [B, 3, 32, 32] (channels last) with labels, shuffled, shifted and mirrored.

    Order and augmentation depend on `seed` and `epoch` alone, so that every method sees the same batches and a run can
    go on in the middle. The last batch is left out if it is not whole.
    """
    generator = torch.Generator().manual_seed(seed * 1000 + epoch)
    order = torch.randperm(len(split), generator=generator)
    for start in range(0, len(split) - size + 1, size):
        chosen = order[start : start + size]
        yield normalized(_augmented(split.images[chosen], generator)), split.labels[chosen]


def batches(split: Split, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield normalised float32 batches with labels in the order of the split."""
    for start in range(0, len(split), size):
        yield normalized(split.images[start : start + size]), split.labels[start : start + size]


def normalized(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images [B, H, W, 3] as float32 [B, 3, H, W] in channels-last order, black as in the data set."""
    shift, scale = torch.tensor(MEAN) * 255, 1 / (torch.tensor(DEVIATION) * 255)
    return ((images.float() - shift) * scale).permute(0, 3, 1, 2)


def _augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by up to four pixels, black coming in, and mirror every second one by chance."""
    count, side = images.shape[:2]
    bordered = functional.pad(images, (0, 0, _BORDER, _BORDER, _BORDER, _BORDER))
    top, left = (torch.randint(0, 2 * _BORDER + 1, (count, 1), generator=generator) for _ in range(2))
    mirrored = torch.rand(count, 1, generator=generator) < 0.5  # noqa: PLR2004 - as often as not
    rows, columns = top + torch.arange(side), left + torch.arange(side)
    columns = torch.where(mirrored, columns.flip(1), columns)
    return bordered[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _decoded(content: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    files = (content[start:stop].tobytes() for start, stop in pairwise(offsets))
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write beside the target and rename: a file that exists is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.npy")
    np.save(unfinished, array)
    unfinished.replace(path)
