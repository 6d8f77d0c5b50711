"""The largest elements, and running totals."""

from __future__ import annotations

from benchmarks.operators.case import case

SORTING = (
    case("TopK", "1x8400x80", [5], outputs=2, axis=2),
    case("TopK", "1x672000", [1000], outputs=2),
    case("TopK", "1x8400", [300], outputs=2),
    case("TopK", "1x1000", [5], outputs=2),
    case("TopK", "1x30522", [50], outputs=2),
    case("TopK", "64x1000", [1000], outputs=2),
    case("TopK", "1x80x8400", [100], outputs=2, axis=2),
    case("TopK", "1x64x2048", [16], outputs=2, axis=1, largest=0),
    case("TopK", "int64 1x8400", [100], outputs=2),
    case("CumSum", "1x16000", [1]),
    case("CumSum", "1x128x768", [1]),
    case("CumSum", "1x64x56x56", [3]),
    case("CumSum", "1x64x56x56", [1]),
    case("CumSum", "int64 1x512", [1]),
    case("CumProd", "1x64x64x64 <2", [3]),
)
