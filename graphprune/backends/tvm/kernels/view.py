"""Strided views: the memory layout of a logical tensor in a flat buffer.

Every value of the lowered program is a flat buffer plus a shape and strides. Transpose, Slice, Split, Expand, Squeeze
and most Reshapes are then changes of strides that cost nothing at run time; a kernel reads its inputs through views.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

Shape = tuple[int, ...]
Handle = Any
"""An object of TVM's, whose Python package carries no types."""


def strides_in_order(shape: Sequence[int], order: Sequence[int]) -> Shape:
    """Strides, in elements, of a dense tensor whose axes lie in memory in `order`, slowest first."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def row_major(shape: Sequence[int]) -> Shape:
    """Strides of a row-major tensor of this shape."""
    return strides_in_order(shape, range(len(shape)))


@dataclass(frozen=True)
class View:
    """A logical tensor inside the flat buffer `buffer` of `size` elements.

    Element `index` lies at `offset + sum(index[a] * strides[a])`; a stride of 0 repeats. `buffer` is what
    the lowering knows the memory by.
    """

    buffer: Handle
    size: int
    dtype: str
    shape: Shape
    strides: Shape
    offset: int = 0

    @classmethod
    def dense(cls, buffer: Handle, dtype: str, shape: Sequence[int], order: Sequence[int] | None = None) -> View:
        """The whole of `buffer` as a tensor of `shape` whose axes lie in memory in `order` (default row-major)."""
        order = range(len(shape)) if order is None else order
        return cls(buffer, math.prod(shape), dtype, tuple(shape), strides_in_order(shape, order))

    @property
    def elements(self) -> int:
        """Number of logical elements, repeated ones included."""
        return math.prod(self.shape)

    @property
    def is_row_major(self) -> bool:
        """True if the view is exactly its buffer, in row-major order."""
        return self.is_dense_as(row_major(self.shape))

    def is_dense_as(self, strides: Shape) -> bool:
        """True if the view fills its buffer with these strides; the strides of axes of size 1 do not matter."""
        return self.offset == 0 and self.size == self.elements and self.has_strides(strides)

    def has_strides(self, strides: Shape) -> bool:
        """True if these are the strides, but for those of axes of size 1, which do not matter."""
        return all(n == 1 or a == b for n, a, b in zip(self.shape, self.strides, strides, strict=True))

    def is_at(self, other: View) -> bool:
        """True if every element lies where that of `other` does."""
        return self.has_strides(other.strides) and replace(self, strides=other.strides) == other

    def transpose(self, axes: Sequence[int]) -> View:
        """The view with its axes permuted: axis `a` of the result is axis `axes[a]` of this one."""
        return replace(self, shape=tuple(self.shape[a] for a in axes), strides=tuple(self.strides[a] for a in axes))

    def broadcast(self, shape: Sequence[int]) -> View:
        """The view repeated to `shape` by NumPy's rules."""
        added = len(shape) - len(self.shape)
        strides = [0] * added
        for have, want, stride in zip(self.shape, shape[added:], self.strides, strict=True):
            strides.append(stride if have == want else 0)
        return replace(self, shape=tuple(shape), strides=tuple(strides))

    def slice(self, axis: int, start: int, length: int, step: int = 1) -> View:
        """Elements `start, start + step, ...` (`length` of them) along `axis`; `step` may be negative."""
        shape, strides = list(self.shape), list(self.strides)
        shape[axis] = length
        strides[axis] *= step
        return replace(
            self, shape=tuple(shape), strides=tuple(strides), offset=self.offset + start * self.strides[axis]
        )

    def reshape(self, shape: Sequence[int]) -> View | None:
        """The view with another shape of as many elements, or None where no strides express it."""
        strides = _reshaped_strides(self.shape, self.strides, tuple(shape))
        return None if strides is None else replace(self, shape=tuple(shape), strides=strides)

    def memory_order(self) -> Shape:
        """The axes from slowest to fastest in memory; repeated axes come first, ties keep the logical order."""
        steps = [abs(stride) or math.inf for stride in self.strides]
        return tuple(sorted(range(len(self.shape)), key=lambda axis: -steps[axis]))


def join_views(parts: Sequence[View], axis: int) -> View | None:
    """The parts, one after another along `axis`, as one view, or None where no strides express it."""
    first, *others = parts
    apart = others[0].offset - first.offset if others else 0
    step = next((part.strides[axis] for part in parts if part.shape[axis] > 1), apart)
    lengths = [part.shape[axis] for part in parts]
    ends = list(itertools.accumulate(lengths))
    shape, strides = list(first.shape), list(first.strides)
    shape[axis], strides[axis] = ends[-1], step
    whole = replace(first, shape=tuple(shape), strides=tuple(strides))
    places = (
        whole.slice(axis, end - part.shape[axis], part.shape[axis]) for part, end in zip(parts, ends, strict=True)
    )
    return whole if all(map(View.is_at, parts, places)) else None


def reshape_blocks(old: Sequence[int], new: Sequence[int]) -> list[tuple[range, range]]:
    """Pairs (axes of `old`, axes of `new`) that cover both shapes in order and hold equally many elements.

    Each pair is as small as possible, so that a reshape is seen as separate merges and splits. Axes of size 1 join
    the pair before them. Both shapes must hold the same number of elements, not 0.
    """
    blocks: list[tuple[range, range]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        first_old, first_new = i, j
        have, want = 1, 1
        if i < len(old):
            have, i = old[i], i + 1
        if j < len(new):
            want, j = new[j], j + 1
        while have != want:
            if have < want:
                have, i = have * old[i], i + 1
            else:
                want, j = want * new[j], j + 1
        while i < len(old) and old[i] == 1:
            i += 1
        while j < len(new) and new[j] == 1:
            j += 1
        blocks.append((range(first_old, i), range(first_new, j)))
    return blocks


def _reshaped_strides(old: Shape, strides: Shape, new: Shape) -> Shape | None:
    if math.prod(old) == 0:
        return row_major(new)
    result = [0] * len(new)
    for old_axes, new_axes in reshape_blocks(old, new):
        step = merged_stride([old[a] for a in old_axes], [strides[a] for a in old_axes])
        if step is None:
            return None
        for axis in reversed(new_axes):
            result[axis] = step
            step *= new[axis]
    return tuple(result)


def merged_stride(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """The one stride that walks these axes in order, or None if there is none; axes of size 1 do not matter."""
    axes = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    for (_, outer), (n, inner) in itertools.pairwise(axes):
        if outer != n * inner:
            return None
    return axes[-1][1] if axes else 0


def coalesce(shape: Sequence[int], operands: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Merge neighbouring axes wherever every operand's strides allow it, and drop axes of size 1.

    Returns the shorter shape and each operand's strides for it; the shape has at least one axis.
    """
    merged: list[int] = []
    steps: list[list[int]] = [[] for _ in operands]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        inner = [s[axis] for s in operands]
        if merged and all(o[-1] == n * i for o, i in zip(steps, inner, strict=True)):
            merged[-1] *= n
            for o, i in zip(steps, inner, strict=True):
                o[-1] = i
        else:
            merged.append(n)
            for o, i in zip(steps, inner, strict=True):
                o.append(i)
    return (merged, steps) if merged else ([1], [[0] for _ in operands])
