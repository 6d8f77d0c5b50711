"""Tiling of the output positions of one image (or the tokens of one sequence) into register tiles.

Kernels for convolutions and matrix products work on *planes*: for each input channel, a row of positions. A tile is a
run of `span` consecutive input positions, starting at `tile * input_step`, of which the `segments` are outputs:
`(input_start, output_start, length)` relative to the tile. A 1x1 convolution or a matrix product has one segment a
tile; a k x k convolution reads the zero-padded plane, whose rows are longer than the output's, and has one segment an
output row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_VECTORS = 8
MOST_EXCESS = 1.1
"""How much longer than the mean a thread's share of the work may be."""

Index = Any
"""An integer, or a TIR expression of one."""

Segment = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """`count` equal tiles, the first of which is number `first`."""

    first: int
    count: int
    span: int
    segments: tuple[Segment, ...]

    @property
    def outputs(self) -> int:
        """Number of output positions of one tile."""
        return sum(length for _, _, length in self.segments)


@dataclass(frozen=True)
class Tiling:
    """All tiles of a plane: equal ones and perhaps a shorter last one.

    Where rows are cut, each into `pieces` of `piece` positions, the last piece of a row overlaps the one before it, so
    that all are equal; the steps are then those of whole rows.
    """

    input_step: int
    output_step: int
    tiles: tuple[Tile, ...]
    pieces: int = 1
    piece: int = 0
    width: int = 0

    def starts(self, number: Index) -> tuple[Index, Index]:
        """Where tile `number` (an integer, or an expression of one) starts in the input and in the output plane."""
        if self.pieces == 1:
            return number * self.input_step, number * self.output_step
        row, piece = number // self.pieces, number % self.pieces
        # The last piece starts a whole piece before the end of the row; written without a minimum, for expressions.
        surplus = self.pieces * self.piece - self.width
        within = piece * self.piece - (piece + 1) // self.pieces * surplus
        return row * self.input_step + within, row * self.output_step + within

    @property
    def count(self) -> int:
        """Number of tiles."""
        return sum(tile.count for tile in self.tiles)

    def is_even(self, threads: int, images: int = 1, parts: int = 1) -> bool:
        """Whether threads that take neighbouring jobs take about as long; a tile of an image makes `parts` jobs."""
        spans = np.repeat([tile.span for tile in self.tiles], [tile.count for tile in self.tiles])
        done = np.concatenate([[0], np.cumsum(np.repeat(np.tile(spans, images), parts))])
        shares = np.diff(done[np.arange(threads + 1) * (len(done) - 1) // threads])
        return bool(shares.max() <= MOST_EXCESS * shares.mean())

    @property
    def span(self) -> int:
        """Input positions of the longest tile."""
        return max(tile.span for tile in self.tiles)


def tile_positions(positions: int, lanes: int, vectors: int) -> Tiling:
    """Tiles of at most `vectors` vectors over `positions` consecutive positions, as even as whole vectors allow.

    A single vector left over joins the last tile, where registers allow: alone it would take as long as half a tile.
    """
    available = -(-positions // lanes)
    joins = 1 < vectors < MOST_VECTORS and available > vectors and available % vectors == 1
    count = -(-(available - joins) // vectors)
    return _equal_tiles(count, -(-(available - joins) // count) * lanes, positions)


def tile_positions_evenly(positions: int, lanes: int, vectors: int, threads: int) -> Tiling:
    """As `tile_positions`, but of few tiles as many as `threads` share evenly: longer ones, cut at any position."""
    tiling = tile_positions(positions, lanes, vectors)
    count = tiling.count // threads * threads
    if not count or tiling.is_even(threads):
        return tiling
    step = -(-positions // count)
    fits = step <= MOST_VECTORS * lanes and step * (count - 1) < positions
    return _equal_tiles(count, step, positions) if fits else tiling


def _equal_tiles(count: int, step: int, positions: int) -> Tiling:
    """Tiles every `step`, the last of which takes what is left."""
    last = positions - (count - 1) * step
    if last == step or count == 1:
        return Tiling(step, step, (Tile(0, count, last, ((0, 0, last),)),))
    return Tiling(step, step, (Tile(0, count - 1, step, ((0, 0, step),)), Tile(count - 1, 1, last, ((0, 0, last),))))


def tile_rows(rows: int, width: int, pitch: int, lanes: int) -> Tiling:
    """Tiles of whole output rows: `width` outputs every `pitch` input positions, `rows` times.

    The number of rows a tile is the one that computes the fewest vectors in all; ties go to the larger tile. Rows too
    long for one tile are cut in pieces.
    """
    longest = MOST_VECTORS * lanes
    if width > longest:
        pieces = -(-width // longest)
        tile = Tile(0, rows * pieces, longest, ((0, 0, longest),))
        return Tiling(pitch, width, (tile,), pieces, longest, width)
    fitting = [r for r in range(1, rows + 1) if r == 1 or _span(r, width, pitch) <= MOST_VECTORS * lanes]
    best = min(fitting, key=lambda r: (_vectors_in_all(r, rows, width, pitch, lanes), -r))
    return tile_equal_rows(rows, width, pitch, best)


def tile_equal_rows(rows: int, width: int, pitch: int, per_tile: int) -> Tiling:
    """Tiles of `per_tile` output rows and perhaps a last one of fewer."""
    full, rest = divmod(rows, per_tile)
    tiles = [_row_tile(0, full, per_tile, width, pitch)] if full else []
    if rest:
        tiles.append(_row_tile(full, 1, rest, width, pitch))
    return Tiling(per_tile * pitch, per_tile * width, tuple(tiles))


def chunks(span: int, lanes: int, most_vectors: int) -> list[tuple[int, int]]:
    """Cut a span into runs of at most `most_vectors` vectors, evenly: pairs (first position, vectors)."""
    vectors = -(-span // lanes)
    count = -(-vectors // most_vectors)
    result, first = [], 0
    for i in range(count):
        size = (vectors - first) // (count - i)
        result.append((first * lanes, size))
        first += size
    return result


def in_half_vectors(span: int, lanes: int) -> int:
    """The span in whole vectors and perhaps half of one: half a multiply-add takes half the time."""
    half = lanes // 2
    return -(-span // half) * half


def _span(rows: int, width: int, pitch: int) -> int:
    return (rows - 1) * pitch + width


def _vectors_in_all(per_tile: int, rows: int, width: int, pitch: int, lanes: int) -> int:
    full, rest = divmod(rows, per_tile)
    last = -(-_span(rest, width, pitch) // lanes) if rest else 0
    return full * -(-_span(per_tile, width, pitch) // lanes) + last


def _row_tile(first: int, count: int, rows: int, width: int, pitch: int) -> Tile:
    segments = tuple((r * pitch, r * width, width) for r in range(rows))
    return Tile(first, count, _span(rows, width, pitch), segments)
