"""A profile as a picture: time runs to the right, each node stands on its kernels, colours say what could be gained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphprune.measuring.profiler import KernelTime, Profile

WIDTH = 1600
ROW = 44
MARGIN = 16
HEADER = 64
LETTER = 6.6
"""Width of a letter of 11 pixels; text that does not fit its bar is left out, and shown under the pointer."""

COLOURS = ("#b35806", "#f1a340", "#fee0b6", "#d8daeb", "#998ec3")
"""From far below the machine's limit to near it, in steps of 20%; told apart by colour-blind eyes (ColorBrewer)."""

NEUTRAL = "#e8e8e8"
INK = "#1a1a1a"


@dataclass(frozen=True)
class Bar:
    """A bar of the picture, in milliseconds from the start, `row` 0 at the top."""

    row: int
    start_ms: float
    ms: float
    label: str
    details: str
    colour: str


def flame_svg(title: str, profile: Profile) -> str:
    """An SVG of the whole run, its nodes and their kernels, in the order in which they run."""
    total = max(profile.run_ms, profile.kernels_ms)
    scale = (WIDTH - 2 * MARGIN) / total
    whole = f"{title}: {profile.run_ms:.3g} ms, threads: {profile.threads}"
    bars = [Bar(0, 0.0, total, whole, f"{profile.kernels_ms:.3g} ms of it in kernels", NEUTRAL), *_bars(profile)]
    height = HEADER + 3 * ROW + MARGIN
    box = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11" fill="{INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_legend(profile),
        *(_draw(bar, scale) for bar in bars),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _bars(profile: Profile) -> Iterator[Bar]:
    start = 0.0
    for (node, operators), calls in groupby(profile.kernels, lambda call: (call.node, call.operators)):
        kernels = list(calls)
        ms = sum(kernel.ms for kernel in kernels)
        limit = sum(kernel.limit_ms for kernel in kernels)
        details = f"{node}\n{operators}\n{ms:.3g} ms, {ms / profile.kernels_ms:.1%} of the run"
        yield Bar(1, start, ms, node or operators, details, _colour(limit / ms))
        for kernel in kernels:
            yield Bar(2, start, kernel.ms, kernel.kernel, _details(kernel), _colour(kernel.share_of_limit))
            start += kernel.ms


def _details(kernel: KernelTime) -> str:
    speed = f"{kernel.gflops:.3g} GOP/s, " if kernel.operations else ""
    share = f"{kernel.share_of_limit:.0%} of the machine's limit"
    return f"{kernel.kernel} of {kernel.node}\n{kernel.ms:.3g} ms, {speed}{kernel.gbytes:.3g} GB/s\n{share}"


def _colour(share: float) -> str:
    return COLOURS[min(int(share * len(COLOURS)), len(COLOURS) - 1)]


def _draw(bar: Bar, scale: float) -> str:
    x, y, width = MARGIN + bar.start_ms * scale, HEADER + bar.row * ROW, bar.ms * scale
    fits = width > LETTER * len(bar.label) + 8
    ink = "white" if bar.colour == COLOURS[0] else INK
    text = f'<text x="{x + 4:.2f}" y="{y + ROW / 2 + 4:.2f}" fill="{ink}">{escape(bar.label)}</text>' if fits else ""
    return (
        f'<g><title>{escape(bar.details)}</title><rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 2}" '
        f'fill="{bar.colour}" stroke="white" stroke-width="0.5"/>{text}</g>'
    )


def _legend(profile: Profile) -> Iterable[str]:
    roof = profile.roofline
    speeds = ", ".join(f"{level.gbytes:.0f}" for level in roof.levels)
    yield (
        f'<text x="{MARGIN}" y="24">share of the machine\'s limit, which is {roof.gflops:.0f} GFLOP/s, '
        f"{roof.gops:.0f} GOP/s of bytes, and {speeds} GB/s from the second cache, the last one, memory</text>"
    )
    for i, colour in enumerate(COLOURS):
        x, low = MARGIN + i * 110, 100 * i // len(COLOURS)
        label = f"{low}% to {low + 100 // len(COLOURS)}%" if i < len(COLOURS) - 1 else f"{low}% and more"
        yield f'<rect x="{x}" y="36" width="14" height="14" fill="{colour}"/><text x="{x + 20}" y="47">{label}</text>'
