"""What was measured, kept as it comes: the whole takes an hour or so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.peers.results import Outcome
from graphprune.measuring.environment import Environment

REFERENCE = "onnxruntime"


@dataclass(frozen=True)
class Row:
    """One architecture: outcomes by side; the machine and the commit of these measurements."""

    model: str
    environment: Environment
    threads: int
    outcomes: dict[str, Outcome]

    def ratio(self, side: str, over: str = REFERENCE) -> float | None:
        """The time of `over` in times of the side; None where one of them has none, or the side's output is wrong."""
        mine, other = self.outcomes.get(side), self.outcomes.get(over)
        if mine is None or other is None or mine.ms is None or other.ms is None or mine.is_wrong:
            return None
        return other.ms / mine.ms


def ratios(rows: Iterable[Row], side: str) -> dict[str, float]:
    """By model, from the least."""
    found = {row.model: ratio for row in rows if (ratio := row.ratio(side)) is not None}
    return dict(sorted(found.items(), key=lambda item: item[1]))


_ROWS = TypeAdapter(list[Row])


def read(path: Path) -> dict[str, Row]:
    """The rows of a file written before, by model; none where there is no file."""
    return {row.model: row for row in _ROWS.validate_json(path.read_bytes())} if path.exists() else {}


def write(rows: Iterable[Row], path: Path) -> None:
    """All rows as JSON."""
    path.write_bytes(_ROWS.dump_json(list(rows), indent=1))
