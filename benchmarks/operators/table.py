"""The table of cases, the slowest beside ONNX Runtime first, on the terminal and as a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.operators.cases import WITHOUT_CASE
from benchmarks.operators.measure import Row
from graphprune.measuring.environment import Environment

HEADING = "| case | ours, ms | ONNX Runtime, ms | ours / theirs | error |\n|---|---|---|---|---|"


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Rows by how much longer ours takes; those without a ratio last."""
    return sorted(rows, key=lambda row: -(row.ratio or 0.0))


def line(row: Row) -> str:
    """A row of the table."""
    if row.ours_ms is None or row.theirs_ms is None or row.ratio is None:
        return f"| {row.case.title} | {row.reason} | | | |"
    error = "differs" if row.is_wrong else f"{row.error:.0e}"
    return f"| {row.case.title} | {row.ours_ms:.3f} | {row.theirs_ms:.3f} | {row.ratio:.2f} | {error} |"


def summary(rows: Sequence[Row], over: float) -> str:
    """A line that counts."""
    ratios = [row.ratio for row in rows if row.ratio is not None]
    slower = sum(ratio > over for ratio in ratios)
    middle = float(np.median(ratios)) if ratios else float("nan")
    return f"{len(ratios)} cases, median {middle:.2f} of ONNX Runtime's time, {slower} over {over:g}"


def page(rows: Sequence[Row], environment: Environment, threads: int, over: float) -> str:
    """The whole table as a page."""
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    reasons = [f"| {name} | {reason} |" for name, reason in sorted(WITHOUT_CASE.items())]
    lines = [
        "# Operators one by one",
        "",
        "Every operator that the TVM backend lowers, over shapes of real networks, beside ONNX Runtime with all its",
        "optimisations on the same model of one node. Made by",
        "`python -m benchmarks.operators --markdown docs/operator-speed.md`: medians of runs in turns in one process,",
        "outputs compared with exact ones (the largest difference over the largest element), worst first. `=` marks a",
        "constant; `<n` bounds what is drawn. Times of a few hundredths of a millisecond are those of a call.",
        "",
        f"{environment.cpu}, {threads} thread(s); {versions}; commit {environment.commit}.",
        "",
        f"{summary(rows, over)}.",
        "",
        HEADING,
        *map(line, worst_first(rows)),
        "",
        "| without a case | reason |",
        "|---|---|",
        *reasons,
    ]
    return "\n".join(lines) + "\n"
