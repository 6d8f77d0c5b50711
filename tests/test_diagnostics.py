"""Skips and rewrites are printable values."""

from graphprune.diagnostics import Rewrite, Skip


def test_a_skip_reads_as_one_line_with_its_code() -> None:
    assert str(Skip("GP211", "bn1", "input is shared")) == "bn1: input is shared [GP211]"


def test_a_rewrite_reads_as_one_line() -> None:
    assert str(Rewrite("conv-batch-norm", "bn1", "folded into 'conv1'")) == "conv-batch-norm: bn1: folded into 'conv1'"


def test_diagnostics_are_values() -> None:
    assert {Skip("GP211", "a", "b"), Skip("GP211", "a", "b")} == {Skip("GP211", "a", "b")}
