"""Index maps: which indices of an axis belong to a channel, as strides over mixed-radix digits.

A flattened `[C, H, W]` gives a channel `H * W` neighbouring columns, heads give it a run of rows, a shuffle reorders
it: all are a few (extent, stride) digits, so a map is exact and small whatever the number of channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Digits = tuple[tuple[int, int], ...]
"""(extent, stride) of each digit of a number, the most significant digit first."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class IndexMap:
    """Index of channel `c` and position `p`: `start`, and the strides times the digits of `c` and of `p`.

    Attributes:
        start: The first index of channel 0.
        channels: Digits of the channel.
        positions: Digits of the position within a channel; none where a channel has one index.
    """

    start: int
    channels: Digits
    positions: Digits = ()

    @classmethod
    def consecutive(cls, start: int, size: int) -> IndexMap:
        """Channel `c` is index `start + c`."""
        return cls(start, ((size, 1),))

    @classmethod
    def fit(cls, indices: IntArray) -> IndexMap | None:
        """Return the map that has these indices, [channels, positions], or None where no strides make them."""
        start = int(indices[0, 0])
        channels, positions = _digits(indices[:, 0] - start), _digits(indices[0] - start)
        if channels is None or positions is None:
            return None
        found = cls(start, channels, positions)
        return found if np.array_equal(found.indices(), indices) else None

    @property
    def size(self) -> int:
        """The number of channels."""
        return int(np.prod([extent for extent, _ in self.channels], dtype=int))

    @property
    def repeat(self) -> int:
        """The number of indices of each channel."""
        return int(np.prod([extent for extent, _ in self.positions], dtype=int))

    @property
    def is_consecutive(self) -> bool:
        """Whether channel `c` is the one index `start + c`."""
        return self == IndexMap.consecutive(self.start, self.size)

    def indices(self) -> IntArray:
        """Return the indices, int64 [size, repeat]."""
        return self.start + _offsets(self.channels)[:, None] + _offsets(self.positions)[None, :]

    def of(self, inner: IndexMap) -> IndexMap | None:
        """Return the map of channel `c` to the indices that this map gives the channels `inner` gives `c`.

        None where strides cannot express it.
        """
        return IndexMap.fit(self.indices()[inner.indices()].reshape(inner.size, -1))

    def __str__(self) -> str:
        if self.is_consecutive:
            return f"{self.start}:{self.start + self.size}"
        parts = [f"{extent}x{stride}" for extent, stride in (*self.channels, *self.positions)]
        return f"{self.start}+{'+'.join(parts)}"


def _offsets(digits: Digits) -> IntArray:
    offsets = np.zeros(1, np.int64)
    for extent, stride in digits:
        offsets = (offsets[:, None] + stride * np.arange(extent, dtype=np.int64)).reshape(-1)
    return offsets


def _digits(offsets: IntArray) -> Digits | None:
    """Factor a sequence that starts with 0, the fastest digit first: its longest run of equal steps."""
    found: list[tuple[int, int]] = []
    while offsets.size > 1:
        steps = np.diff(offsets)
        breaks = np.flatnonzero(steps != steps[0])
        run = int(breaks[0]) + 1 if breaks.size else int(offsets.size)
        if offsets.size % run:
            return None
        found.insert(0, (run, int(steps[0])))
        offsets = offsets[::run]
    return tuple(found)
