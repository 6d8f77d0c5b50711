"""Lines of text drawn in the fonts of a Debian package, as a recognizer takes them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from pathlib import Path
from textwrap import wrap

import numpy as np

from benchmarks.one_shot.sources import Half, Sources
from benchmarks.one_shot.subject import Array, spread
from benchmarks.one_shot.texts import books

HEIGHT, WIDTH = 48, 320
LONGEST = 16
"""Characters of a line."""

_POINTS, _MARGIN, _NOISE = 40, 6, 12
_DARK, _LIGHT = (0, 110), (150, 255)
"""Levels of ink and of paper."""


def texts(sources: Sources, half: Half, count: int, alphabet: Collection[str]) -> list[str]:
    """Lines spread evenly over the books that are written in the alphabet."""
    pieces = [wrap(paragraph, LONGEST) for paragraph in chain.from_iterable(books(sources, half))]
    known = set(alphabet)
    fit = [line for line in chain.from_iterable(pieces) if len(line) <= LONGEST and known.issuperset(line)]
    return [str(line) for line in spread(np.array(fit), count)]


def drawn(sources: Sources, lines: list[str]) -> Array:
    """Images of lines, each in the next font, as float32 [lines, 3, HEIGHT, WIDTH] in [-1, 1], gray behind the end."""
    fonts = sorted(sources.debian("fonts-liberation").rglob("*.ttf"))
    random = np.random.default_rng(len(lines))
    images = np.zeros((len(lines), 3, HEIGHT, WIDTH), np.float32)
    for index, line in enumerate(lines):
        pixels = _pixels(line, fonts[index % len(fonts)], random)
        images[index, :, :, : pixels.shape[1]] = pixels / 127.5 - 1
    return images


def _pixels(line: str, font: Path, random: np.random.Generator) -> Array:
    """Dark ink on light paper with noise, of the height that the recognizer takes."""
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.truetype(font, _POINTS)
    left, top, right, bottom = face.getbbox(line)
    size = int(right - left) + 2 * _MARGIN, int(bottom - top) + 2 * _MARGIN
    image = Image.new("L", size, int(random.integers(*_LIGHT)))
    ImageDraw.Draw(image).text((_MARGIN - left, _MARGIN - top), line, int(random.integers(*_DARK)), face)
    width = min(WIDTH, size[0] * HEIGHT // size[1])
    pixels = np.asarray(image.resize((width, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return np.clip(pixels + random.normal(0, _NOISE, pixels.shape), 0, 255)
