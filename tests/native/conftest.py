"""Models that programs in C are linked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, parse

LINEAR = "g (float[1,40,32] x) => (float[1,40,48] y) { a = MatMul(x,w) b = Softmax(a) c = Sin(b) y = Add(a,c) }"
OTHER = "g (float[2,32] x) => (float[2,8] y) { y = MatMul(x,w) }"
LOOKUP = "g (int64[1] i) => (float[1,2] y) { y = Gather(t,i) }"


@pytest.fixture(scope="package")
def linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompiledSession, Path]:
    """A model on two threads, and the folder of its files `first.so`, `first.o` and `first.a`."""
    return _saved(tmp_path_factory, LINEAR, {"w": (32, 48)}, "first")


@pytest.fixture(scope="package")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompiledSession, Path]:
    """Another one, in `the-2nd`."""
    return _saved(tmp_path_factory, OTHER, {"w": (32, 8)}, "the-2nd")


@pytest.fixture(scope="package")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompiledSession, Path]:
    """One whose input is an index, in `lookup`."""
    return _saved(tmp_path_factory, LOOKUP, {"t": (10, 2)}, "lookup")


def _saved(
    factory: pytest.TempPathFactory, text: str, weights: dict[str, tuple[int, ...]], name: str
) -> tuple[CompiledSession, Path]:
    session, folder = compile_(parse(text, weights), threads=2), factory.mktemp(name)
    for suffix in (".so", ".o", ".a"):
        session.save(folder / f"{name}{suffix}")
    return session, folder
