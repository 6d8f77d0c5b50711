"""The comparison as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.peers import OURS
from benchmarks.peers.results import Comparison, Outcome, Row


def heading(peers: Sequence[str]) -> str:
    """The first two lines: times in milliseconds, and ours as a ratio over each other one."""
    names = [f"{name}, ms" if name == OURS else f"{name}, ms (ratio)" for name in peers]
    cells = ["model", "zeros", "limit, ms", *names]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def line(row: Row, peers: Sequence[str]) -> str:
    """One line of the table."""
    ours = row.outcomes[OURS].ms if OURS in peers else None
    limit = "-" if row.limit_ms is None else f"{row.limit_ms:.2f}"
    cells = [_cell(row.outcomes[name], None if name == OURS else ours) for name in peers]
    return f"| {' | '.join([row.model, f'{row.sparsity:.0%}', limit, *cells])} |"


def _cell(outcome: Outcome, ours: float | None) -> str:
    """The time and its ratio over ours, or the reason why there is none."""
    if outcome.ms is None:
        return str(outcome.reason).replace("|", "/")
    ratio = "" if ours is None else f" ({outcome.ms / ours:.2f}x)"
    return f"{outcome.ms:.2f}{ratio}{f', differs by {outcome.error:.1g}' if outcome.is_wrong else ''}"


def footnotes(comparison: Comparison) -> str:
    """The machine, versions, and largest errors."""
    machine, threads, batch = comparison.environment, comparison.threads, comparison.batch
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    lines = [
        f"{machine.cpu}, {threads} thread(s) of {machine.processors}, batch {batch}; commit {machine.commit}",
        f"peak: {comparison.gflops:.0f} GFLOP/s",
        f"versions: {versions}",
        f"largest error, relative to ONNX Runtime without optimisations: {_errors(comparison)}",
    ]
    return "\n".join(lines)


def _errors(comparison: Comparison) -> str:
    found = {
        name: [outcome.error for outcome in comparison.outcomes(name) if outcome.error is not None]
        for name in comparison.peers
    }
    return ", ".join(f"{name} {max(errors):.0e}" for name, errors in found.items() if errors)
