"""The arena plan: where each value between kernels lies, so that values which are needed at once do not overlap.

Greedy by size, after Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), section 5:
the largest value is placed first, each in the narrowest gap between those placed that live at the same time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from graphprune.backends.tvm.program.recording import Buffer, Call, span_of


@dataclass(frozen=True)
class Arena:
    """The byte offset of each value, and the bytes of all."""

    offsets: dict[Buffer, int]
    nbytes: int


@dataclass(frozen=True)
class _Life:
    """A value is written by the call `first`, and last read by the call `last`."""

    buffer: Buffer
    first: int
    last: int

    def overlaps(self, other: _Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_arena(calls: Sequence[Call], elsewhere: Collection[Buffer]) -> Arena:
    """Place every buffer that calls write, but those that lie `elsewhere`."""
    placed: list[tuple[int, _Life]] = []
    for life in sorted(_lives(calls, elsewhere), key=lambda life: (-life.buffer.nbytes, life.first)):
        alive = sorted((start, start + span_of(other.buffer.nbytes)) for start, other in placed if other.overlaps(life))
        placed.append((_narrowest_gap(alive, span_of(life.buffer.nbytes)), life))
    offsets = {life.buffer: start for start, life in placed}
    return Arena(offsets, max((start + span_of(buffer.nbytes) for buffer, start in offsets.items()), default=0))


def _lives(calls: Sequence[Call], elsewhere: Collection[Buffer]) -> list[_Life]:
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for number, call in enumerate(calls):
        first.update(dict.fromkeys((buffer for buffer in call.results if buffer not in elsewhere), number))
        last.update(dict.fromkeys((*call.inputs, *call.results), number))
    return [_Life(buffer, number, last[buffer]) for buffer, number in first.items()]


def _narrowest_gap(alive: Sequence[tuple[int, int]], span: int) -> int:
    """Where to put a value of `span` bytes beside those that lie at [start, end), sorted by start."""
    best, best_room, end = None, 0, 0
    for start, its_end in alive:
        room = start - end
        if room >= span and (best is None or room < best_room):
            best, best_room = end, room
        end = max(end, its_end)
    return end if best is None else best
