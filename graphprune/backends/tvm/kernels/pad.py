"""Zero-padded, phase-split copies of planes: what makes every convolution a sum over constant offsets.

Output `(oh, ow)` of a convolution with stride s reads, for tap `(kh, kw)`, the padded input at
`(oh * s + kh * dilation, ow * s + kw * dilation)`. Split the padded plane in s x s phases by the remainders of row and
column: each tap then reads one phase at a constant distance from `oh * pitch + ow`, whatever the stride and dilation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    constant,
    lanes,
    loop,
    store,
)
from graphprune.backends.tvm.kernels.runs import Run, copy_padded_run, copy_run
from graphprune.backends.tvm.kernels.tiling import in_half_vectors
from graphprune.backends.tvm.kernels.view import View

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Window:
    """A sliding window over (height, width): kernel, strides, dilations, and pads (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Size of the output for an input of this size (rounded down)."""
        return self._along(height, 0), self._along(width, 1)

    def _along(self, size: int, axis: int) -> int:
        reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
        return (size + self.pads[axis] + self.pads[axis + 2] - reach) // self.strides[axis] + 1

    @property
    def is_pointwise(self) -> bool:
        """True if each output reads just the input at its own position."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and not any(self.pads)


@dataclass(frozen=True)
class PaddedPlanes:
    """The layout of the padded copy: [image][channel][phase row][phase column][rows][pitch], with slack at the end."""

    window: Window
    channels: int
    height: int
    width: int
    output: tuple[int, int]
    rows: int
    pitch: int
    channel_stride: int

    @property
    def phases(self) -> tuple[int, int]:
        """Phases along height and width; no more than the kernel touches."""
        w = self.window
        return min(w.strides[0], _reach(w, 0)), min(w.strides[1], _reach(w, 1))

    @property
    def halo(self) -> tuple[int, int]:
        """Rows and columns of a phase beyond those of the output."""
        return self.rows - self.output[0], self.pitch - self.output[1]

    def tap_offsets(self) -> Indices:
        """Offset of each tap `kh * kernel_width + kw` from the output position in the plane, in elements."""
        return self.tap_offsets_within(self.rows, self.pitch)

    def tap_offsets_within(self, rows: int, pitch: int) -> Indices:
        """As `tap_offsets`, for phases of so many rows with a row stride of `pitch`."""
        (kernel_h, kernel_w), (stride_h, stride_w), (dil_h, dil_w) = (
            self.window.kernel,
            self.window.strides,
            self.window.dilations,
        )
        row = np.arange(kernel_h)[:, None] * dil_h
        column = np.arange(kernel_w)[None, :] * dil_w
        phase = (row % stride_h) * self.phases[1] + column % stride_w
        return (phase * rows * pitch + (row // stride_h) * pitch + column // stride_w).ravel().astype("i4")


def _reach(window: Window, axis: int) -> int:
    return (window.kernel[axis] - 1) * window.dilations[axis] + 1


def padded_planes(
    window: Window, channels: int, height: int, width: int, output: tuple[int, int], lanes_: int
) -> PaddedPlanes:
    """The layout for this window and input; a channel takes an odd number of vectors, to spread over the cache sets."""
    rows = output[0] + (_reach(window, 0) - 1) // window.strides[0]
    pitch = output[1] + (_reach(window, 1) - 1) // window.strides[1]
    layout = PaddedPlanes(window, channels, height, width, output, rows, pitch, 0)
    size = layout.phases[0] * layout.phases[1] * rows * pitch
    vectors = -(-size // lanes_) | 1
    return PaddedPlanes(window, channels, height, width, output, rows, pitch, vectors * lanes_)


def padded_size(layout: PaddedPlanes, images: int, slack: int) -> int:
    """Elements of the padded copy of `images` images, `slack` spare ones included."""
    return images * layout.channels * layout.channel_stride + slack


def pad_function(name: str, machine: Machine, x: View, layout: PaddedPlanes, size: int, fill: float) -> Expr:
    """The TIR function (x, y): `x` is a view [image, channel, height, width]; `fill` goes where there is no input."""
    images = x.shape[0]

    def body(kernel: Kernel) -> None:
        with loop(images * layout.channels, parallel=machine.threads > 1) as plane:
            place = (plane // layout.channels, plane % layout.channels)
            pad_plane(machine, layout, x, kernel["x"], place, kernel["y"], bind(plane * layout.channel_stride), fill)

    return build_function(name, [Flat("x", x.size, x.dtype), Flat("y", size, x.dtype)], body)


def pad_plane(
    machine: Machine,
    layout: PaddedPlanes,
    x: View,
    source: Expr,
    place: tuple[Expr, Expr],
    target: Expr,
    start: Expr,
    fill: float,
) -> None:
    """Emit the padded copy of one plane, `place` (image, channel) of the view `x` in `source`, at `target[start:]`.

    What lies beyond the last row of the last phase, to the end of the channel, stays unset: no output reads it.
    """
    origin = bind(x.offset + place[0] * x.strides[0] + place[1] * x.strides[1])
    for rows in _alike(layout, 0):
        for columns in _alike(layout, 1):
            with loop(rows.count) as i, loop(columns.count) as j:
                a, b = rows.first + i, columns.first + j
                at = start + (a * layout.phases[1] + b) * layout.rows * layout.pitch
                _copy_phase(machine, layout, x, (rows, columns), (a, b), (source, origin), (target, at), fill)


@dataclass(frozen=True)
class _Phases:
    """Neighbouring phases along an axis, `first` and `count`, that have their input at the same places.

    Attributes:
        begin: The first place that has some.
        inputs: How many places have some.
    """

    first: int
    count: int
    begin: int
    inputs: int

    @property
    def last(self) -> int:
        """The last phase."""
        return self.first + self.count - 1


def _alike(layout: PaddedPlanes, axis: int) -> Iterator[_Phases]:
    """The phases along an axis, in runs of those that are copied by the same code: there are hundreds in a patch."""
    extents = ((layout.height, layout.rows), (layout.width, layout.pitch))[axis]
    shift, stride = layout.window.pads[axis], layout.window.strides[axis]
    phases = range(layout.phases[axis])
    for where, run in itertools.groupby(phases, lambda phase: _range(phase - shift, stride, *extents)):
        found = list(run)
        yield _Phases(found[0], len(found), *where)


def _fill(machine: Machine, target: Expr, value: Expr, start: Expr, count: int) -> None:
    if count > 0:
        lanes(count, machine.lanes, lambda i: store(target, start + i, value))


def _copy_phase(
    machine: Machine,
    layout: PaddedPlanes,
    x: View,
    alike: tuple[_Phases, _Phases],
    phase: tuple[Expr, Expr],
    source: tuple[Expr, Expr],
    target: tuple[Expr, Expr],
    fill: float,
) -> None:
    """Copy the input rows and columns of one phase and fill around them; buffers come with the place of their plane.

    `phase` is one of those that are `alike`.
    """
    stride_h = layout.window.strides[0]
    border = partial(_fill, machine, target[0], constant(fill, x.dtype))
    (first_row, rows), (first_col, columns) = ((each.begin, each.inputs) for each in alike)
    start, pitch = target[1], layout.pitch
    if rows <= 0 or columns <= 0:
        border(start, layout.rows * pitch)
        return
    step = layout.window.strides[1] * x.strides[3]
    wide = in_half_vectors(columns, machine.lanes)
    corner = _corner(layout, alike, phase)
    farthest = _corner(layout, alike, (alike[0].last, alike[1].last))
    ahead = _rows_with_room(layout, x, farthest, (first_row, first_col), rows, wide)

    def row_of(r: Expr) -> tuple[Run, Run]:
        at = bind(source[1] + (corner[0] + r * stride_h) * x.strides[2] + corner[1] * x.strides[3])
        return Run(source[0], at, step), Run(target[0], bind(start + (r + first_row) * pitch + first_col))

    border(start, first_row * pitch + first_col)
    if ahead:
        with loop(ahead) as r:
            run, place = row_of(r)
            copy_padded_run(columns, machine.lanes, run, place, constant(fill, x.dtype))
            border(place.start + wide, pitch - wide)
    with loop(rows - ahead) as last:
        run, place = row_of(last + ahead)
        border(place.start - first_col, first_col)
        copy_run(columns, machine.lanes, run, place)
        border(place.start + columns, pitch - first_col - columns)
    border(start + (first_row + rows) * pitch, (layout.rows - first_row - rows) * pitch)


def _corner(layout: PaddedPlanes, alike: tuple[_Phases, _Phases], phase: tuple[Expr, Expr]) -> tuple[Expr, Expr]:
    """The first row and column of the input that a phase has."""
    (stride_h, stride_w), (top, left) = layout.window.strides, layout.window.pads[:2]
    rows, columns = alike
    return phase[0] - top + rows.begin * stride_h, phase[1] - left + columns.begin * stride_w


def _rows_with_room(
    layout: PaddedPlanes, x: View, corner: tuple[int, int], first: tuple[int, int], rows: int, wide: int
) -> int:
    """How many rows, from the first on, can be read and written in `wide` elements: never the last.

    What is read beyond a row is of later rows of the plane, and what is written beyond it is written again.
    """
    stride_h, stride_w = layout.window.strides
    if stride_w * x.strides[3] not in (1, 2) or x.strides[2] < 0:
        return 0
    end = (layout.height - 1) * x.strides[2] + (layout.width - 1) * x.strides[3] + 1

    def has_room(r: int) -> bool:
        at = (corner[0] + r * stride_h) * x.strides[2] + corner[1] * x.strides[3]
        place = (first[0] + r) * layout.pitch + first[1]
        return at + wide * stride_w * x.strides[3] <= end and place + wide <= layout.rows * layout.pitch

    return sum(itertools.takewhile(bool, (has_room(r) for r in range(rows - 1))))


def _range(shift: int, stride: int, size: int, limit: int) -> tuple[int, int]:
    """First index i >= 0 with `0 <= i * stride + shift < size`, and how many there are below `limit`."""
    first = max(0, -(shift // stride)) if shift < 0 else 0
    end = min(limit, -(-(size - shift) // stride))
    return first, end - first
