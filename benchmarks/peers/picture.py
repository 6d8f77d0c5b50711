"""The comparison as a picture: for each model, times and shares of the limit over the zeros of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.peers import OURS
from benchmarks.peers.results import Comparison, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = "limit"
STYLES: dict[str, dict[str, Any]] = {
    OURS: {"color": "#0072B2", "marker": "o", "linewidth": 2.6},
    "deepsparse": {"color": "#C04F00", "marker": "s"},
    "onnxruntime": {"color": "#8A6500", "marker": "^"},
    "openvino": {"color": "#007A5A", "marker": "D"},
    "tvm": {"color": "#A0508A", "marker": "v"},
    LIMIT: {"color": "#555555", "linestyle": "--"},
}
"""Hues of Okabe and Ito's palette, which the colour-blind tell apart, dark enough for text; and markers."""

GAP = 0.06
"""The least distance between labels, in heights of a panel."""

Series = tuple[list[float], list[float]]
"""Shares of weights that are left, and a value for each."""


def draw(comparison: Comparison, path: Path) -> None:
    """Write an SVG file: a column a model, times above and shares of the limit below.

    Raises:
        ImportError: matplotlib is missing (extra `bench`).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row.model for row in comparison.rows))
    figure = Figure(figsize=(4.8 * len(models), 7.2), layout="constrained")
    panels = figure.subplots(2, len(models), squeeze=False, sharex="col")
    for model, times, shares in zip(models, *panels, strict=True):
        rows = sorted((row for row in comparison.rows if row.model == model), key=lambda row: row.sparsity)
        times.set(title=model, yscale="log", ylabel="time of a run, ms")
        times.yaxis.set_major_formatter("{x:g}")
        _plot(times, {**_times(rows, comparison.peers), LIMIT: _series(rows, [row.limit_ms for row in rows])})
        shares.set(ylabel="time of the limit / time of a run", xlabel="zeros in prunable weights")
        _plot(shares, _shares(rows, comparison.peers))
        shares.set_ylim(bottom=0)
        shares.yaxis.set_major_formatter("{x:.0%}")
        _name_zeros(shares, rows)
        for panel in (times, shares):
            _label_ends(panel)
    with rc_context({"svg.hashsalt": "graphprune"}):  # names in the file that are the same each time
        figure.savefig(path, format="svg", metadata={"Date": None})


def _times(rows: Sequence[Row], peers: Sequence[str]) -> dict[str, Series]:
    return {peer: _series(rows, [row.outcomes[peer].ms for row in rows]) for peer in peers}


def _shares(rows: Sequence[Row], peers: Sequence[str]) -> dict[str, Series]:
    return {peer: _series(rows, [row.share_of_limit(peer) for row in rows]) for peer in peers}


def _series(rows: Sequence[Row], values: Sequence[float | None]) -> Series:
    """What is known of `values`, which belong to `rows`."""
    known = [(1 - row.sparsity, value) for row, value in zip(rows, values, strict=True) if value is not None]
    return [left for left, _ in known], [value for _, value in known]


def _plot(panel: Axes, lines: Mapping[str, Series]) -> None:
    for name, (left, values) in lines.items():
        if values:
            panel.plot(left, values, label=name, markersize=5, **STYLES[name])
    panel.grid(color="#DDDDDD", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _name_zeros(panel: Axes, rows: Sequence[Row]) -> None:
    """A logarithmic axis of what is left: where time follows the nonzeros, lines are straight."""
    panel.set_xlim(1.1, 0.9 * min(1 - row.sparsity for row in rows))
    panel.set_xscale("log")
    panel.set_xticks([1 - row.sparsity for row in rows], [f"{row.sparsity:.0%}" for row in rows])
    panel.minorticks_off()


def _label_ends(panel: Axes) -> None:
    """Write each line's name beside its last point, and keep the names apart."""
    lines = panel.get_lines()
    ends = [np.asarray(line.get_xydata())[-1] for line in lines]
    heights = [panel.transAxes.inverted().transform(panel.transData.transform(end))[1] for end in ends]
    for line, end, height in zip(lines, ends, spread(heights, GAP), strict=True):
        color = line.get_color()
        leader = {"arrowstyle": "-", "color": color, "linewidth": 0.5}
        panel.annotate(
            str(line.get_label()), (end[0], end[1]), (1.03, height), textcoords="axes fraction", color=color,
            va="center", fontsize=9, arrowprops=leader,
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The same heights in the same order, moved up where they are nearer to the one below than `gap`."""
    placed: dict[int, float] = {}
    lowest = float("-inf")
    for index in sorted(range(len(heights)), key=heights.__getitem__):
        lowest = placed[index] = max(heights[index], lowest)
        lowest += gap
    return [placed[index] for index in range(len(heights))]
