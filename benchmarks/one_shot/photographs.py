"""Photographs that packages carry, as squares cut out of them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import Array

WALLPAPERS = {
    "lomiri-wallpapers-16.04": "usr/share/backgrounds/*_by_*.jpg",
    "mate-backgrounds": "usr/share/backgrounds/mate/nature/*.jpg",
    "plasma-workspace-wallpapers": "usr/share/wallpapers/*/contents/images/2560x1600.jpg",
}
"""Debian's packages, and which of their files."""

_SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
_SMALLEST = 0.4
"""The side of a square is at least this share of a photograph's shorter side."""


def photographs(sources: Sources, half: Half) -> list[Path]:
    """The files of a half; no photograph is in both."""
    wallpapers = (sorted(sources.debian(package).glob(files)) for package, files in WALLPAPERS.items())
    examples = sources.wheel("scikit-image==0.26.0") / "skimage" / "data"
    return [*chain.from_iterable(wallpapers), *(examples / name for name in _SKIMAGE)][half::2]


def squares(file: Path, count: int, side: int, random: np.random.Generator) -> Array:
    """Draw squares of a photograph, each of any size and place, as uint8 [count, side, side, 3]."""
    from PIL import Image

    with Image.open(file) as image:
        whole = image.convert("RGB")
    found = []
    for _ in range(count):
        extent = int(min(whole.size) * random.uniform(_SMALLEST, 1))
        left, top = (int(random.integers(0, length - extent + 1)) for length in whole.size)
        box = (left, top, left + extent, top + extent)
        found.append(np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC, box)))
    return np.stack(found)
