"""Rewrites and skips: what a pass changed and what it refused, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skip:
    """A site that matched a pass but does not qualify for its rewrite.

    Attributes:
        code: The `GPxxx` code documented in `docs/errors.md`.
        node: Name of the node (or of the initializer) that was left alone.
        reason: One line, lower-case start, no final period.
    """

    code: str
    node: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node}: {self.reason} [{self.code}]"


@dataclass(frozen=True)
class Rewrite:
    """One change that a pass made.

    Attributes:
        rule: Name of the rule that fired, e.g. `conv-batch-norm`.
        node: Name of the node (or of the initializer) that was changed.
        detail: What became of it, in a few words.
    """

    rule: str
    node: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.node}: {self.detail}"
