"""Dense 3x3 convolutions by Winograd's minimal filtering F(2x2, 3x3): 16 multiply-adds for 4 outputs instead of 36.

The plane is cut in tiles of 2x2 outputs, which read 4x4 inputs. These are transformed to 16 others, and so is the
filter: the convolution is then 16 products of matrices, whose result is transformed back. Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    loop,
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.pad import PaddedPlanes, Window, pad_plane, padded_planes
from graphprune.backends.tvm.kernels.problem import PlaneProblem, Planes
from graphprune.backends.tvm.kernels.tile import TileContext
from graphprune.backends.tvm.kernels.tiling import tile_equal_rows
from graphprune.backends.tvm.kernels.view import View

STEP = 2
"""Outputs of a tile along an axis."""

SIDE = 4
"""Inputs that a tile reads along an axis."""

PRODUCTS = SIDE * SIDE

_FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G of the paper, for filters."""


@dataclass(frozen=True)
class WinogradLayout:
    """Transformed planes [image][product][channel][tile row][tile column], with a vector of slack a channel.

    `padded` is the input cut by parity of row and column, so that neighbouring tiles read neighbouring elements.
    """

    padded: PaddedPlanes
    output: tuple[int, int]
    lanes: int

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return self.padded.output[0]

    @property
    def columns(self) -> int:
        """Columns of tiles."""
        return self.padded.output[1]

    @property
    def tiles(self) -> int:
        """Tiles of a plane."""
        return self.rows * self.columns

    @property
    def channel_stride(self) -> int:
        """Elements of a transformed plane: an odd number of vectors, to spread over the cache sets."""
        return (-(-(self.tiles + self.lanes) // self.lanes) | 1) * self.lanes

    def planes(self, images: int) -> Planes:
        """The transformed planes of all products as channels."""
        channels = PRODUCTS * self.padded.channels
        return Planes(
            images * channels * self.channel_stride, channels, channels * self.channel_stride, self.channel_stride
        )


def winograd_layout(window: Window, channels: int, height: int, width: int, lanes: int) -> WinogradLayout:
    """The layout for a 3x3 window of stride 1."""
    output = window.output(height, width)
    tiles = -(-output[0] // STEP), -(-output[1] // STEP)
    top, left = window.pads[:2]
    bottom, right = (STEP * (n + 1) - size - p for n, size, p in zip(tiles, (height, width), (top, left), strict=True))
    reading = Window((SIDE, SIDE), (STEP, STEP), (1, 1), (top, left, bottom, right))
    return WinogradLayout(padded_planes(reading, channels, height, width, tiles, lanes), output, lanes)


def transform_filters(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """G g G^T of filters [outputs, inputs, 9], as [products * outputs, inputs, 1]."""
    outputs, inputs = weight.shape[:2]
    filters = weight.reshape(outputs, inputs, 3, 3).astype(np.float64)
    transformed: npt.NDArray[np.float32] = np.einsum("ar,oirs,bs->aboi", _FILTER, filters, _FILTER).astype(np.float32)
    return transformed.reshape(PRODUCTS * outputs, inputs, 1)


def input_function(name: str, machine: Machine, x: View, layout: WinogradLayout) -> Expr:
    """The TIR function (x, y): pads and transforms a view `x` [image, channel, height, width].

    A row's last vector runs into the next row's place, which is stored after it, or into the slack.
    """
    images, channels, planes = x.shape[0], layout.padded.channels, layout.planes(x.shape[0])

    def body(kernel: Kernel) -> None:
        with loop(images * channels, parallel=machine.threads > 1) as plane:
            image, channel = bind(plane // channels), bind(plane % channels)
            padded = scratch(layout.padded.channel_stride + layout.lanes, x.dtype)
            pad_plane(machine, layout.padded, x, kernel["x"], (image, channel), padded, 0, 0.0)
            start = bind((image * PRODUCTS * channels + channel) * layout.channel_stride)
            with loop(layout.rows) as row:
                for first in range(0, layout.columns, layout.lanes):
                    source = bind(row * layout.padded.pitch + first)
                    target = bind(start + row * layout.columns + first)
                    unrolled_lanes(
                        layout.lanes,
                        layout.lanes,
                        partial(_transform_input, kernel["y"], layout, padded, source, target),
                    )

    return build_function(name, [Flat("x", x.size, x.dtype), Flat("y", planes.size, x.dtype)], body)


def _transform_input(y: Expr, layout: WinogradLayout, padded: Expr, source: Expr, target: Expr, i: Expr) -> None:
    """B^T d B of one tile, `i` further on."""
    offsets = layout.padded.tap_offsets().tolist()
    distance = layout.padded.channels * layout.channel_stride
    tile = [[bind(padded[source + offsets[r * SIDE + c] + i]) for c in range(SIDE)] for r in range(SIDE)]
    columns = [_input_line([tile[r][c] for r in range(SIDE)]) for c in range(SIDE)]
    for r in range(SIDE):
        for c, value in enumerate(_input_line([columns[k][r] for k in range(SIDE)])):
            store(y, target + (r * SIDE + c) * distance + i, value)


def _input_line(d: Sequence[Expr]) -> list[Expr]:
    """B^T of the paper times four elements."""
    return [bind(value) for value in (d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3])]


def output_function(
    name: str,
    machine: Machine,
    shape: tuple[int, int],
    layout: WinogradLayout,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, operands..., y) of products `x` [image][product][channel][tile].

    `shape` is (images, channels) of the output.
    """
    (images, channels), (height, width) = shape, layout.output
    pitch = STEP * -(-layout.columns // layout.lanes) * layout.lanes
    tiling = tile_equal_rows(height, width, pitch, STEP)
    problem = PlaneProblem(machine, images, channels, height * width, Planes(0, 0, 0, 0), tiling)

    def body(kernel: Kernel) -> None:
        with loop(images * channels, parallel=machine.threads > 1) as plane:
            image, channel = bind(plane // channels), bind(plane % channels)
            start = bind((image * PRODUCTS * channels + channel) * layout.tiles)
            line = scratch(STEP * pitch)
            for tile in tiling.tiles:
                with loop(tile.count) as step:
                    row = bind(step + tile.first)
                    for first in range(0, layout.columns, layout.lanes):
                        source = bind(start + row * layout.columns + first)
                        rows = [(line, r * pitch + STEP * first) for r in range(STEP)]
                        _transform_output(kernel["x"], layout, channels * layout.tiles, source, first, rows)
                    at = bind(tiling.starts(row)[1])
                    TileContext(kernel, tile, line, 0, image, at, problem, epilogue).write(channel, line)

    arguments = [Flat("x", images * PRODUCTS * channels * layout.tiles, "float32"), *operands]
    return build_function(name, [*arguments, Flat("y", images * channels * height * width, output_dtype)], body)


def _transform_output(
    x: Expr, layout: WinogradLayout, distance: int, source: Expr, first: int, rows: Sequence[tuple[Expr, int]]
) -> None:
    """A^T m A of a vector of tiles, stored to two rows of outputs: buffers with places in them."""
    width, count = layout.lanes, min(layout.lanes, layout.columns - first)
    results = [[registers(width) for _ in range(STEP)] for _ in range(STEP)]

    def transform(i: Expr) -> None:
        tile = [[bind(x[source + (r * SIDE + c) * distance + i]) for c in range(SIDE)] for r in range(SIDE)]
        columns = [_output_line([tile[r][c] for r in range(SIDE)]) for c in range(SIDE)]
        for r in range(STEP):
            for c, value in enumerate(_output_line([columns[k][r] for k in range(SIDE)])):
                store(results[r][c], i, value)

    unrolled_lanes(count, width, transform)
    for (even, odd), (line, at) in zip(results, rows, strict=True):
        _interleave(even, odd, width, line, at)


def _output_line(m: Sequence[Expr]) -> list[Expr]:
    """A^T of the paper times four elements."""
    return [bind(value) for value in (m[0] + m[1] + m[2], m[1] - m[2] - m[3])]


def _interleave(even: Expr, odd: Expr, width: int, target: Expr, start: int) -> None:
    """Store even[0], odd[0], even[1], odd[1] ... at `target[start:]`."""
    vectors = [buffer[T.ramp(0, 1, width)] for buffer in (even, odd)]
    for half in range(STEP):
        places = range(half * width // STEP, (half + 1) * width // STEP)
        indices = [tirx.IntImm("int32", i + side * width) for i in places for side in range(STEP)]
        store(target, T.ramp(start + half * width, 1, width), tirx.Shuffle(vectors, indices))
