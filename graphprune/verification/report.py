"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterator
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
class QuantizedReport:
    """How the integers differ that both graphs compute, each value from the reference's integers, over all cases.

    Attributes:
        values: How many values were compared.
        others: How many more the reference rounds: the candidate has them not, or not under their names.
        elements: Of the values, summed over the cases.
        differing: How many of them differ.
        most_levels: By how many levels at most.
        first_rounded: The first that differs, right or wrong.
        reason: What is wrong; None where all is as ties explain it.
    """

    values: int
    others: int
    elements: int = 0
    differing: int = 0
    most_levels: int = 0
    first_rounded: FirstDifference | None = None
    reason: str | None = None


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found; it has no truth value, so that `assert verify(...)` cannot pass by mistake.

    The `seed` is that of the first case, None where samples were given. `quantized` is there where both graphs are
    known and the reference rounds activations to integers.
    """

    passed: bool
    cases: int
    seed: int | None
    outputs: tuple[OutputReport, ...]
    first_difference: FirstDifference | None
    warnings: tuple[str, ...]
    quantized: QuantizedReport | None = None

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
            VerificationError: names the first output or quantized value that differs, by how much, and the first node
                that differs.
        """
        if self.passed:
            return
        where = self.first_difference
        place = f"; the first node to differ is {where.node!r} ({where.op_type})" if where else ""
        raise VerificationError(f"{next(self._reasons())}{place}", code="GP561")

    def _reasons(self) -> Iterator[str]:
        for output in self.outputs:
            if output.difference.reason:
                yield f"output {output.name!r} {output.difference.reason}"
        if self.quantized and self.quantized.reason:
            yield self.quantized.reason
