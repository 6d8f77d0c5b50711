"""Checked code stops where it would leave a buffer, by one element, and says which; all else it leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import ir, tirx
from tvm.tirx.script import builder

from graphprune.backends.tvm.building.pipeline import lower
from graphprune.backends.tvm.kernels import elementwise
from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    build_function,
    lanes,
    loop,
    prefetch,
    scratch,
    store,
)
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE
from graphprune.errors import BackendError
from graphprune.targets.target import TARGETS
from tests.backends.tvm.graphs import compile_, parse
from tests.backends.tvm.kernels.harness import V3, Array, random, run

SIZE = 16


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKS_VARIABLE, "1")


def outcome(body: Callable[[Kernel], None], indices: Array | None = None) -> Array:
    """What the kernel (x, indices, y), of `SIZE` elements each, makes of random numbers."""
    arguments = [Flat("x", SIZE, "float32"), Flat("indices", SIZE, "int32"), Flat("y", SIZE, "float32")]
    given = np.arange(SIZE, dtype=np.int32) if indices is None else indices
    return run(build_function("main", arguments, body), V3, [random(SIZE), given], SIZE)


def read(kernel: Kernel, width: int, at: int = 0, step: int = 1) -> None:
    lanes(SIZE, width, lambda i: store(kernel["y"], i, kernel["x"][i * step + at]))


def write(kernel: Kernel, width: int, at: int = 0, step: int = 1) -> None:
    lanes(SIZE, width, lambda i: store(kernel["y"], i * step + at, kernel["x"][i]))


def in_scratch(kernel: Kernel, width: int, read_at: int = 0, write_at: int = 0) -> None:
    buffer = scratch(SIZE)
    lanes(SIZE, width, lambda i: store(buffer, i + write_at, kernel["x"][i]))
    lanes(SIZE, width, lambda i: store(kernel["y"], i, buffer[i + read_at]))


OUTSIDE: dict[str, tuple[Callable[[Kernel, int], None], str]] = {
    "read behind": (lambda k, width: read(k, width, 1), "reads outside the 16 elements of x"),
    "read before": (lambda k, width: read(k, width, -1), "reads outside the 16 elements of x"),
    "read backwards": (lambda k, width: read(k, width, SIZE - 2, -1), "reads outside the 16 elements of x"),
    "write behind": (lambda k, width: write(k, width, 1), "writes outside the 16 elements of y"),
    "write before": (lambda k, width: write(k, width, -1), "writes outside the 16 elements of y"),
    "scratch, read": (lambda k, width: in_scratch(k, width, read_at=1), "reads outside the 16 elements of scratch"),
    "scratch, write": (lambda k, width: in_scratch(k, width, write_at=1), "writes outside the 16 elements of scratch"),
}


@pytest.mark.parametrize("width", [1, 8], ids=["scalar", "vector"])
@pytest.mark.parametrize(("body", "access"), OUTSIDE.values(), ids=OUTSIDE)
def test_off_by_one(body: Callable[[Kernel, int], None], access: str, width: int) -> None:
    with pytest.raises(BackendError) as caught:
        outcome(lambda kernel: body(kernel, width))
    assert str(caught.value) == f"kernel 'main' {access} [GP413]"


@pytest.mark.parametrize("width", [1, 8], ids=["scalar", "vector"])
@pytest.mark.parametrize("body", [read, write, in_scratch])
def test_within_all_is_well(body: Callable[[Kernel, int], None], width: int) -> None:
    np.testing.assert_array_equal(outcome(lambda kernel: body(kernel, width)), random(SIZE))


def chosen(kernel: Kernel, width: int) -> None:
    lanes(SIZE, width, lambda i: store(kernel["y"], i, kernel["x"][kernel["indices"][i]]))


def chosen_where_positive(kernel: Kernel, width: int) -> None:
    def element(i: Expr) -> None:
        index = kernel["indices"][i]
        value = tirx.if_then_else(index >= 0, kernel["x"][index], tirx.const(0, "float32"))
        store(kernel["y"], i, value)

    lanes(SIZE, width, element)


def turned(kernel: Kernel, width: int) -> None:
    """An index that is not a ramp."""
    lanes(SIZE, width, lambda i: store(kernel["y"], i, kernel["x"][i * 5 % 17]))


def in_parallel(kernel: Kernel, width: int) -> None:
    with loop(2, parallel=True) as part:
        lanes(SIZE // 2, width, lambda i: store(kernel["y"], part * (SIZE // 2) + i + 1, kernel["x"][i]))


def while_small(kernel: Kernel, _width: int) -> None:
    """Moves on in x while its elements are below 9, which all are."""
    place = scratch(1, "int32")
    store(place, 0, tirx.const(0, "int32"))
    with builder.While(kernel["x"][place[0]] < 9):
        store(place, 0, place[0] + 1)
    store(kernel["y"], 0, kernel["x"][0])


BAD_INDICES = np.where(np.arange(SIZE) == 11, SIZE, np.arange(SIZE)).astype(np.int32)


@pytest.mark.parametrize("width", [1, 8], ids=["scalar", "vector"])
@pytest.mark.parametrize(
    ("body", "access"),
    [
        (chosen, "reads outside the 16 elements of x"),
        (chosen_where_positive, "reads outside the 16 elements of x"),
        (turned, "reads outside the 16 elements of x"),
        (in_parallel, "writes outside the 16 elements of y"),
        (while_small, "reads outside the 16 elements of x"),
    ],
)
def test_places_known_only_when_run(body: Callable[[Kernel, int], None], access: str, width: int) -> None:
    with pytest.raises(BackendError, match=f"kernel 'main' {access}"):
        outcome(lambda kernel: body(kernel, width), BAD_INDICES)


@pytest.mark.parametrize("width", [1, 8], ids=["scalar", "vector"])
def test_what_a_condition_excludes_is_not_read(width: int) -> None:
    indices = np.where(np.arange(SIZE) % 3, np.arange(SIZE), -7).astype(np.int32)
    expected = np.where(indices < 0, 0, random(SIZE))
    result = outcome(lambda kernel: chosen_where_positive(kernel, width), indices)
    np.testing.assert_array_equal(result, expected)


def test_a_prefetch_is_no_access() -> None:
    def body(kernel: Kernel) -> None:
        prefetch(kernel["x"], 1 << 20)
        read(kernel, 8)

    np.testing.assert_array_equal(outcome(body), random(SIZE))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_says_which_kernel_failed(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = parse("g (float[3,40] x) => (float[3,40] y) { y = Relu (x) }")
    monkeypatch.setattr(elementwise, "lanes", lambda length, width, body: lanes(length + 1, width, body))
    session = compile_(model, threads=threads)
    with pytest.raises(BackendError, match=r"kernel 'elementwise' reads outside the 120 elements of x0 \[GP413\]$"):
        session.run(None, {"x": np.zeros((3, 40), np.float32)})


def test_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [Flat("x", SIZE, "float32"), Flat("y", SIZE, "float32")]
    function = build_function("main", arguments, lambda kernel: write(kernel, 8))

    def asserts() -> bool:
        chip = tvm.target.Target(TARGETS["x86-64-v3"].llvm)
        return "assert" in str(lower({ir.GlobalVar("main"): function}, chip))

    assert asserts()
    monkeypatch.setenv(CHECKS_VARIABLE, "")
    assert not asserts()
