"""Copying runs of elements from one buffer to another in vectors."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr, bind, lanes, loop, store
from graphprune.backends.tvm.kernels.tiling import in_half_vectors


@dataclass(frozen=True)
class Run:
    """Elements of a buffer: `start`, `start + step`, and so on."""

    buffer: Expr
    start: Expr
    step: int = 1


def copy_run(count: int, width: int, source: Run, target: Run) -> None:
    """Copy `count` elements to neighbouring places of `target`.

    Every second element is picked out of whole vectors; other distances are left to the compiler. Nothing is read
    beyond the last element.
    """
    vectors = (count - 1) // width if source.step == 2 else 0
    if vectors:
        evens = [tirx.IntImm("int32", 2 * i) for i in range(width)]
        with loop(vectors) as block:
            first = bind(source.start + block * (2 * width))
            halves = [source.buffer[T.ramp(first + half * width, 1, width)] for half in (0, 1)]
            store(target.buffer, T.ramp(target.start + block * width, 1, width), tirx.Shuffle(halves, evens))
    done = vectors * width

    def element(i: Expr) -> None:
        store(target.buffer, target.start + done + i, source.buffer[source.start + (i + done) * source.step])

    lanes(count - done, width, element)


def copy_padded_run(count: int, width: int, source: Run, target: Run, fill: Expr) -> None:
    """As `copy_run` in whole and half vectors: `fill` goes behind the elements, up to `in_half_vectors(count, width)`.

    Reads so many elements for each step of `source`, which is 1 or 2.
    """
    full = count // width
    if full:
        with loop(full) as block:
            value = _load(source, bind(source.start + block * (width * source.step)), width)
            store(target.buffer, T.ramp(target.start + block * width, 1, width), value)
    done, rest = full * width, count % width
    if rest:
        length = in_half_vectors(rest, width)
        kept = [tirx.IntImm("int32", i if i < rest else length) for i in range(length)]
        value = _load(source, bind(source.start + done * source.step), length)
        value = tirx.Shuffle([value, T.broadcast(fill, length)], kept)
        store(target.buffer, T.ramp(target.start + done, 1, length), value)


def _load(source: Run, start: Expr, length: int) -> Expr:
    if source.step == 1:
        return source.buffer[T.ramp(start, 1, length)]
    evens = [tirx.IntImm("int32", 2 * i) for i in range(length)]
    return tirx.Shuffle([source.buffer[T.ramp(start + half * length, 1, length)] for half in (0, 1)], evens)
