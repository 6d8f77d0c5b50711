"""The unknowns and equations of a model: every index of every axis of every constant is an unknown.

Operators say which unknowns must be removed together, which cannot be removed, what a constant is used for, and where
channels are read. Connected components are computed once, at the end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

IntArray = npt.NDArray[np.int64]


class Role(enum.IntFlag):
    """What an index of a constant does for its channel."""

    READER = 1
    """Multiplies the channel's values: free where these are zero."""
    CARRIER = 2
    """Adds to or scales the channel, and must be zero for the channel to be zero."""
    PRODUCER = 4
    """Makes the channel: an output of a linear operator."""
    COMPANION = 8
    """Belongs to the channel, and keeps its value: a running mean, a divisor."""


@dataclass(frozen=True)
class Reason:
    """Why channels are blocked, or not zero where they are read."""

    code: str
    text: str


@dataclass(frozen=True)
class Axis:
    """One axis of a constant; its indices are the unknowns `base`, `base + 1`, and so on."""

    constant: ir.Value
    axis: int
    base: int
    extent: int


@dataclass(frozen=True)
class Read:
    """Where a node multiplies channels by weights, or sums them up: what each element is once its channel is masked."""

    node: ir.Node
    labels: IntArray
    at: npt.NDArray[np.float64]


@dataclass
class Equations:
    """What operators have said so far."""

    axes: list[Axis] = field(default_factory=list)
    count: int = 0
    blocks: list[tuple[IntArray, Reason]] = field(default_factory=list)
    nonzeros: list[tuple[IntArray, Reason]] = field(default_factory=list)
    roles: list[tuple[IntArray, Role]] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    _pairs: list[tuple[IntArray, IntArray]] = field(default_factory=list)
    _grids: list[IntArray] = field(default_factory=list)

    def unknowns(self, extent: int) -> IntArray:
        """Make new unknowns."""
        self.count += extent
        return np.arange(self.count - extent, self.count)

    def axis(self, constant: ir.Value, axis: int, extent: int) -> IntArray:
        """Make the unknowns of an axis of a constant."""
        labels = self.unknowns(extent)
        self.axes.append(Axis(constant, axis, int(labels[0]), extent))
        return labels

    def same(self, one: IntArray, other: IntArray) -> None:
        """Equate two arrays of unknowns, which broadcast against each other."""
        left, right = np.broadcast_arrays(one, other)
        self._pairs.append((left.reshape(-1), right.reshape(-1)))

    def block(self, labels: IntArray, reason: Reason) -> None:
        """Say that none of these can be removed."""
        self.blocks.append((labels.reshape(-1), reason))

    def nonzero(self, labels: IntArray, reason: Reason) -> None:
        """Say that these, once masked, are read as something else than zero."""
        self.nonzeros.append((labels.reshape(-1), reason))

    def read(self, node: ir.Node, labels: IntArray, at: npt.NDArray[np.float64]) -> None:
        """Say where channels are read."""
        self.reads.append(Read(node, labels.reshape(-1), np.broadcast_to(at, labels.shape).reshape(-1)))

    def mark(self, labels: IntArray, role: Role) -> None:
        """Say what indices of constants are used for."""
        self.roles.append((labels.reshape(-1), role))

    def grid(self, labels: IntArray) -> None:
        """Say that these unknowns are the elements of a tensor, of which only whole slices can be removed."""
        self._grids.append(labels)

    def solve(self) -> IntArray:
        """Return the component of each unknown: the least unknown that must be removed with it."""
        root = _united(np.arange(self.count), self._pairs)
        while ragged := [tied for grid in self._grids if (tied := _ragged(root[grid])) is not None]:
            root = _united(root, ragged)
        return root


def _united(root: IntArray, pairs: list[tuple[IntArray, IntArray]]) -> IntArray:
    """Hook the larger root of each pair to the smaller one until no pair has two."""
    left, right = (np.concatenate([np.zeros(0, np.int64), *(pair[side] for pair in pairs)]) for side in (0, 1))
    while True:
        one, other = root[left], root[right]
        open_ = one != other
        if not open_.any():
            return root
        left, right, one, other = left[open_], right[open_], one[open_], other[open_]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(root, root[root]):
            root = root[root]


def _ragged(grid: IntArray) -> tuple[IntArray, IntArray] | None:
    """Return what to tie so that components are slices along one axis; None where they are. The longest axis stays."""
    varying = [axis for axis in range(grid.ndim) if (grid != grid.take([0], axis)).any()]
    if len(varying) <= 1:
        return None
    kept = max(varying, key=lambda axis: (grid.shape[axis], -axis))
    first = grid[tuple(slice(None) if axis == kept else slice(1) for axis in range(grid.ndim))]
    return grid.reshape(-1), np.broadcast_to(first, grid.shape).reshape(-1)
