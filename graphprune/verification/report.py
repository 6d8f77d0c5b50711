"""What a verification found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from graphprune.errors import VerificationError
from graphprune.verification.comparison import Difference
from graphprune.verification.first_difference import FirstDifference


@dataclass(frozen=True)
class OutputReport:
    """The worst of all cases for one output; what `difference` counts is their sum.

    Attributes:
        name: Of the output.
        difference: The worst of all cases.
        is_constant: Whether the reference gave the same values in all cases.
    """

    name: str
    difference: Difference
    is_constant: bool = False


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found; it has no truth value, so that `assert verify(...)` cannot pass by mistake.

    The `seed` is that of the first case, None where samples were given.
    """

    passed: bool
    cases: int
    seed: int | None
    outputs: tuple[OutputReport, ...]
    first_difference: FirstDifference | None
    warnings: tuple[str, ...]

    def __bool__(self) -> bool:
        """Refuse.

        Raises:
            TypeError: always.
        """
        raise TypeError("a VerifyReport has no truth value, use .passed or .raise_for_failure()")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        return asdict(self)

    def raise_for_failure(self) -> None:
        """Do nothing where verified.

        Raises:
            VerificationError: names the first output that differs, by how much, and the first node that differs.
        """
        if self.passed:
            return
        output = next(output for output in self.outputs if output.difference.reason)
        where = self.first_difference
        place = f"; the first node to differ is {where.node!r} ({where.op_type})" if where else ""
        raise VerificationError(f"output {output.name!r} {output.difference.reason}{place}", code="GP561")
