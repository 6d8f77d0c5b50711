"""The distribution as a picture: for each share of zeros, the ratios of all models from the least to the most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks.zoo.results import Row, ratios
from benchmarks.zoo.sides import PATTERNS

STYLES: dict[str, dict[str, Any]] = {
    "0%": {"color": "#555555", "marker": "o"},
    "50%": {"color": "#8A6500", "marker": "^"},
    "80%": {"color": "#007A5A", "marker": "D"},
    "90%": {"color": "#0072B2", "marker": "s", "linewidth": 2.4},
    "2:4": {"color": "#A0508A", "marker": "v"},
}
"""Hues of Okabe and Ito's palette, dark enough for text; and markers."""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write an SVG file.

    Raises:
        ImportError: matplotlib is missing (extra `bench`).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    panel = figure.subplots()
    for column in PATTERNS:
        found = ratios(rows, column)
        if found:
            label = f"{column} zeros" if "%" in column else column
            mean = f"{label}: {geometric_mean(found.values()):.2f}x in the geometric mean"
            panel.plot(range(len(found)), list(found.values()), label=mean, markersize=4, **STYLES[column])
    names = list(ratios(rows, "90%"))
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    panel.axhline(1, color="#999999", linewidth=0.8, linestyle="--")
    panel.set(yscale="log", ylabel="time of ONNX Runtime, dense / time of graphprune")
    panel.set_xlabel("models, each line sorted by its own ratios (names: by those at 90%)")
    panel.yaxis.set_major_formatter("{x:g}x")
    panel.yaxis.set_minor_formatter("{x:g}")
    panel.tick_params(axis="y", which="minor", labelsize=6)
    panel.grid(color="#DDDDDD", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)
    with rc_context({"svg.hashsalt": "graphprune"}):  # names in the file that are the same each time
        figure.savefig(path, format="svg", metadata={"Date": None})
