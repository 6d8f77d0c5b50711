"""The equation of an Einsum."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

_TERM = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
_EQUATION = re.compile(rf"{_TERM}(,{_TERM})*(->{_TERM})?")


def is_equation(equation: str) -> bool:
    """Whether it is one: terms of letters, each with at most one ellipsis; spaces mean nothing."""
    return _EQUATION.fullmatch(equation.replace(" ", "")) is not None


def einsum_terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, an ellipsis written out in labels of its own."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    most = max(
        (rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True) if "..." in t), default=0
    )
    spare = [c for c in string.ascii_letters if c not in equation][:most]
    expanded = []
    for term, rank in zip(terms, ranks, strict=True):
        own = rank - len(term.replace("...", ""))
        expanded.append(term.replace("...", "".join(spare[most - own :]) if own else ""))
    if not arrow:
        once = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    return expanded, right.replace("...", "".join(spare))
