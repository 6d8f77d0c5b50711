"""Numbers as people read them: so many digits as tell something, and a unit."""

from __future__ import annotations

import math
from collections.abc import Iterable

UNKNOWN = "not known"
SMALLEST = 1e-3
"""Below this, numbers are written with an exponent."""

LARGEST = 1e9
"""From this on too."""

_LONGEST = 1e15
_MINUS = "\N{MINUS SIGN}"
_KILO = 1000


def significant(value: float | None, digits: int = 3) -> str:
    """`1,235`, `12.3`, `0.0123`, `1.2e-07`: `digits` of them, or more in front of the point."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return "not finite"
    if value and not SMALLEST <= abs(value) < LARGEST:
        return _signed(f"{value:.{digits - 1}e}")
    return fixed(value, decimals([value], digits))


def fixed(value: float, places: int, *, plus: bool = False) -> str:
    """So many places behind the point; with `plus`, a sign in front of what is above zero too."""
    if not math.isfinite(value):
        return "not finite"
    if abs(value) >= _LONGEST:
        return significant(value)
    text = f"{value:+,.{places}f}" if plus and value > 0 else f"{value:,.{places}f}"
    return _signed(text)


def decimals(values: Iterable[float], digits: int) -> int:
    """How many places show `digits` of the largest of `values`, so that all of them can be written alike."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if not largest:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(largest)), 0), 12)


def ms(value: float | None) -> str:
    """A time, `12.3 ms`."""
    return UNKNOWN if value is None else f"{significant(value)} ms"


def percent(value: float | None, *, plus: bool = False) -> str:
    """A share, `12.3%`."""
    if value is None or not math.isfinite(value):
        return significant(value)
    return f"{fixed(100 * value, 1, plus=plus)}%"


def times(value: float | None) -> str:
    """A ratio, `2.35x`."""
    return UNKNOWN if value is None else f"{significant(value)}x"


def size(value: int | None) -> str:
    """A number of bytes, `97.8 MB`."""
    if value is None:
        return UNKNOWN
    amount, units = float(value), ["bytes", "kB", "MB", "GB"]
    while abs(amount) >= _KILO and len(units) > 1:
        amount /= _KILO
        del units[0]
    return f"{significant(amount)} {units[0]}"


def ratio(value: float, base: float) -> float | None:
    """`value / base`; None where that is no number."""
    if not base or not (math.isfinite(value) and math.isfinite(base)):
        return None
    return value / base


def _signed(text: str) -> str:
    """A minus as wide as a plus, and none in front of zeros."""
    is_zero = not any(digit in text for digit in "123456789")
    return text.replace("-", "") if is_zero else text.replace("-", _MINUS)
