"""Texts tell functions of other code apart, down to the last bit of a number."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import ir

from graphprune.backends.tvm.kernels.builder import Expr, Flat, build_function, store
from graphprune.backends.tvm.kernels.opaque import opaque, opaque_literal
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE, digest_of, text_of

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


def plus(value: float, dtype: str = "float32", size: int = 8) -> Expr:
    """The function (x, y): y = x + value, of the first element."""
    arguments = [Flat("x", size, dtype), Flat("y", 1, dtype)]
    return build_function(
        "plus", arguments, lambda k: store(k["y"], 0, opaque(k["x"][0] + opaque_literal(value, dtype)))
    )


@pytest.mark.parametrize(
    ("one", "other", "dtype"),
    [
        (1.0, float(np.nextafter(np.float32(1), np.float32(2))), "float32"),
        (1.0, float(np.nextafter(1.0, 2.0)), "float64"),
        (0.0, -0.0, "float32"),
        (0.0, SMALLEST, "float32"),
        (float("inf"), float("nan"), "float32"),
        (2**40, 2**40 + 1, "int64"),
    ],
)
def test_numbers_are_told_apart(one: float, other: float, dtype: str) -> None:
    assert text_of(plus(one, dtype)) == text_of(plus(one, dtype)) != text_of(plus(other, dtype))


def test_types_are_told_apart() -> None:
    texts = {text_of(plus(1, dtype)) for dtype in ("float32", "float64", "int32", "int64")}
    assert len({*texts, *map(digest_of, texts)}) == 8


def test_what_is_printed_as_a_reference_is_told_apart() -> None:
    texts = {text_of(plus(1.0).with_attr("origin", ir.SourceName(name))) for name in ("a", "b")}
    assert len(texts) == 2


def test_sizes_of_parameters_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_of(plus(1.0, size=8)) == text_of(plus(1.0, size=9000))
    monkeypatch.setenv(CHECKS_VARIABLE, "1")
    assert text_of(plus(1.0, size=8)) != text_of(plus(1.0, size=9000))
