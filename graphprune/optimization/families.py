"""Kinds of candidates: where zeros lie, and in what numbers the model computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Candidates that differ in how many zeros they have.

    Attributes:
        name: What they are called.
        file: What their files are called.
        pattern: How zeros lie.
        on_integers: Whether they compute with integers of 8 bits.
    """

    name: str
    file: str
    pattern: str
    on_integers: bool


FAMILIES = (
    Family("zeros anywhere", "zeros", "unstructured", on_integers=False),
    Family("runs of 4 zeros, int8", "zeros-int8", "block 1x4", on_integers=True),
)
"""Those that are tried: the patterns whose kernels gain the most, in float32 and on integers."""
