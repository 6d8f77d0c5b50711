"""The rows as Markdown: times of the dense file elsewhere, and how many times as fast ours are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import geometric_mean

from benchmarks.peers.results import Outcome
from benchmarks.zoo.results import REFERENCE, Row, ratios
from benchmarks.zoo.sides import PATTERNS, RIVALS

SLOWEST = 10


def heading() -> list[str]:
    """The first two lines."""
    cells = ["model", *(f"{name}, ms" for name in RIVALS), *(f"{column}, ms" for column in PATTERNS), *PATTERNS]
    return [f"| {' | '.join(cells)} |", "|" + "---|" * len(cells)]


def line(row: Row) -> str:
    """One line: times of all sides, then ratios over ONNX Runtime."""
    times = [_time(row.outcomes.get(name)) for name in (*RIVALS, *PATTERNS)]
    return f"| {' | '.join([row.model, *times, *(_ratio(row.ratio(column)) for column in PATTERNS)])} |"


def _time(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    if outcome.ms is None:
        return "no"
    return f"{outcome.ms:.3g}{f' (differs by {outcome.error:.0e})' if outcome.is_wrong else ''}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def summary(rows: Sequence[Row]) -> list[str]:
    """A line a column: geometric mean and spread of the ratios, and the slowest by name."""
    lines = ["| zeros | geometric mean | least | median | most | models | over the faster rival |", "|" + "---|" * 7]
    for column in PATTERNS:
        found = list(ratios(rows, column).values())
        if found:
            cells = [geometric_mean(found), found[0], found[len(found) // 2], found[-1]]
            best = geometric_mean(_over_best(rows, column))
            lines.append(f"| {column} | {' | '.join(f'{c:.2f}x' for c in cells)} | {len(found)} | {best:.2f}x |")
    slowest = [f"{name} {ratio:.2f}x" for name, ratio in list(ratios(rows, "90%").items())[:SLOWEST]]
    return [*lines, "", f"The slowest at 90%: {', '.join(slowest)}."]


def _over_best(rows: Iterable[Row], column: str) -> list[float]:
    """Ratios over whichever of the others is faster."""
    found = []
    for row in rows:
        known = [ratio for rival in RIVALS if (ratio := row.ratio(column, rival)) is not None]
        if known:
            found.append(min(known))
    return found


def refusals(rows: Iterable[Row]) -> list[str]:
    """A line for each file that a side does not take, with its reason."""
    sides = ((row.model, name, outcome) for row in rows for name, outcome in row.outcomes.items())
    return [f"* {name} does not take {model}: {o.reason}" for model, name, o in sides if o.ms is None]


def footnotes(rows: Sequence[Row]) -> str:
    """Machines, versions and commits."""
    machines = Counter(f"{row.environment.cpu}, {row.threads} thread(s)" for row in rows)
    versions = {name: row.outcomes[name].version for row in rows for name in RIVALS if name in row.outcomes}
    commits = Counter(str(row.environment.commit) for row in rows)
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    worst = max((o.error or 0.0 for row in rows for o in row.outcomes.values() if not o.is_wrong), default=0.0)
    return (
        f"{'; '.join(machines)}; {told}; commit {', '.join(commits)}. Largest error of an output, of the largest "
        f"element of {REFERENCE}'s without optimisations on the same file: {worst:.0e}."
    )
