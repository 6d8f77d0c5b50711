"""What a comparison found, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from graphprune.measuring.environment import Environment

LARGEST_ERROR = 1e-3
"""Relative; an output that differs by more is of another function."""


@dataclass(frozen=True)
class Outcome:
    """What came of one peer and one file.

    Attributes:
        ms: The median time of a run; None if the peer did not take the file.
        runs: How many runs that is the median of.
        error: The largest difference of the outputs from ONNX Runtime's, over the largest output.
        version: The peer's.
        reason: Why it did not take the file.
    """

    ms: float | None = None
    runs: int = 0
    error: float | None = None
    version: str | None = None
    reason: str | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the peer computed another function."""
        return self.error is not None and self.error > LARGEST_ERROR


@dataclass(frozen=True)
class Row:
    """All peers on one file.

    Attributes:
        model: Its name.
        sparsity: The share of zeros in each prunable weight.
        limit_ms: The time of the multiply-adds that are left, at the peak of the processors in use; None if unknown.
        outcomes: By peer.
    """

    model: str
    sparsity: float
    limit_ms: float | None
    outcomes: dict[str, Outcome]

    def share_of_limit(self, peer: str) -> float | None:
        """How near the peer comes to the limit: 1 is at it."""
        ms = self.outcomes[peer].ms
        return None if ms is None or self.limit_ms is None else self.limit_ms / ms


@dataclass
class Comparison:
    """Rows, and how they were taken; `gflops` is the measured peak of that many threads."""

    environment: Environment
    threads: int
    batch: int
    gflops: float
    peers: list[str]
    rows: list[Row] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the peers that took a file."""
        return {name: each.version for name in self.peers for each in self.outcomes(name) if each.version}

    def outcomes(self, peer: str) -> Iterator[Outcome]:
        """What came of the peer, row by row."""
        return (row.outcomes[peer] for row in self.rows)
