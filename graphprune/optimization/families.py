"""Kinds of candidates beside the dense model: what is taken away, and in what numbers the model computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from graphprune.optimization.bounds import Bounds
from graphprune.optimization.channels import Channels
from graphprune.optimization.search import Search
from graphprune.optimization.zeros import Zeros
from graphprune.reporting.report import CandidateReport


class Family(Protocol):
    """Candidates that differ in how much of the model is left."""

    @property
    def name(self) -> str:
        """What they are called."""

    def candidates(self, search: Search, bounds: Bounds, dense: CandidateReport) -> Iterator[CandidateReport]:
        """Return them, each when it is finished.

        Raises:
            GraphPruneError: There is nothing to take away, or the bound cannot be reached.
        """


FAMILIES: tuple[Family, ...] = (
    Channels(),
    Zeros("zeros anywhere", "zeros", "unstructured", on_integers=False),
    Zeros("runs of 4 zeros, int8", "zeros-int8", "block 1x4", on_integers=True),
)
"""Those that are tried: smaller models, and the patterns whose kernels gain the most, in float32 and on integers."""
