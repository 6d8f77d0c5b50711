from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import ir

from graphprune.backends.tvm.program.arena import plan_arena
from graphprune.backends.tvm.program.recording import ALIGNMENT, Buffer, Call

KERNEL = ir.GlobalVar("kernel")


def chain(*sizes: int) -> list[Call]:
    """Calls, each of which reads what the one before wrote."""
    buffers = [Buffer(size, "float32") for size in sizes]
    return [Call(KERNEL, (a,), (b,)) for a, b in itertools.pairwise(buffers)]


def test_values_of_a_chain_share_two_places() -> None:
    arena = plan_arena(chain(16, 16, 16, 16, 16, 16), ())
    assert list(arena.offsets.values()) == [0, 64, 0, 64, 0]
    assert arena.nbytes == 128


def test_a_large_value_is_placed_first_and_small_ones_beside_it() -> None:
    arena = plan_arena(chain(1, 16, 1000, 32), ())
    assert sorted(arena.offsets.values()) == [0, 4032, 4032]
    assert arena.nbytes == 4032 + 128


def test_what_lies_elsewhere_has_no_place() -> None:
    calls = chain(16, 16, 16)
    arena = plan_arena(calls, set(calls[-1].results))
    assert list(arena.offsets) == list(calls[0].results)


def test_a_value_that_nobody_reads_has_a_place_while_it_is_written() -> None:
    x, unread, y = (Buffer(16, "float32") for _ in range(3))
    arena = plan_arena([Call(KERNEL, (x,), (unread, y))], ())
    assert sorted(arena.offsets.values()) == [0, 64]


def test_no_calls_need_no_arena() -> None:
    assert plan_arena([], ()).nbytes == 0


@st.composite
def programs(draw: st.DrawFn) -> list[Call]:
    """Calls that read any earlier values and write one or two."""
    known = [Buffer(8, "float32")]
    calls = []
    for _ in range(draw(st.integers(1, 25))):
        read = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        written = [Buffer(draw(st.integers(0, 90)), "float32") for _ in range(draw(st.integers(1, 2)))]
        calls.append(Call(KERNEL, tuple(read), tuple(written)))
        known += written
    return calls


@settings(max_examples=200, deadline=None)
@given(programs())
def test_running_in_the_arena_gives_what_running_in_separate_memory_gives(calls: list[Call]) -> None:
    """Each call writes a mark of its own; what it reads must hold the mark of the call that wrote it."""
    arena = plan_arena(calls, ())
    memory, marks = np.zeros(arena.nbytes, np.int64), dict[Buffer, int]()
    for number, call in enumerate(calls, 1):
        for buffer in call.inputs:
            if buffer in marks:
                start = arena.offsets[buffer]
                assert (memory[start : start + buffer.nbytes] == marks[buffer]).all()
        for which, buffer in enumerate(call.results):
            start = arena.offsets[buffer]
            assert start % ALIGNMENT == 0
            assert start + buffer.nbytes <= arena.nbytes
            memory[start : start + buffer.nbytes] = marks[buffer] = 10 * number + which
        for which, buffer in enumerate(call.results):
            start = arena.offsets[buffer]
            assert (memory[start : start + buffer.nbytes] == 10 * number + which).all()


@pytest.mark.parametrize("length", [5, 50])
def test_a_chain_needs_no_more_than_its_two_largest_neighbours(length: int) -> None:
    sizes = np.random.default_rng(length).integers(1, 40, length) * 16
    arena = plan_arena(chain(*map(int, sizes)), ())
    assert arena.nbytes == 4 * max(a + b for a, b in itertools.pairwise(sizes[1:]))
