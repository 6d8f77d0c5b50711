"""Tiles cover every output once and waste little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.tiling import (
    MOST_VECTORS,
    Tile,
    Tiling,
    chunks,
    tile_equal_rows,
    tile_positions,
    tile_positions_evenly,
    tile_rows,
)


def covered(tiling: Tiling) -> list[tuple[int, int]]:
    """(input place, output place) of every output that some tile computes."""
    places = []
    for tile in tiling.tiles:
        for number in range(tile.first, tile.first + tile.count):
            for input_start, output_start, length in tile.segments:
                assert input_start + length <= tile.span
                base = tiling.starts(number)[0] + input_start, tiling.starts(number)[1] + output_start
                places += [(base[0] + i, base[1] + i) for i in range(length)]
    return places


@given(st.integers(1, 3000), st.sampled_from([8, 16]), st.integers(1, 8))
def test_positions_are_covered_once(positions: int, lanes: int, vectors: int) -> None:
    tiling = tile_positions(positions, lanes, vectors)
    assert covered(tiling) == [(i, i) for i in range(positions)]
    assert tiling.span <= (vectors if vectors == 1 else vectors + 1) * lanes
    assert tiling.count == sum(tile.count for tile in tiling.tiles)


@given(st.integers(1, 3000), st.sampled_from([8, 16]), st.integers(1, 8), st.integers(1, 9))
def test_positions_are_covered_once_by_even_tiles(positions: int, lanes: int, vectors: int, threads: int) -> None:
    tiling = tile_positions_evenly(positions, lanes, vectors, threads)
    assert covered(tiling) == [(i, i) for i in range(positions)]
    assert tiling.span <= max(MOST_VECTORS, vectors + 1) * lanes


@pytest.mark.parametrize(
    ("positions", "threads", "spans"),
    [
        (196, 1, [64, 64, 68]),
        (196, 2, [98, 98]),  # three tiles for two threads
        (196, 4, [64, 64, 68]),  # parts of the outputs are left to even it out
        (49, 2, [49]),
        (784, 2, [64] * 11 + [80]),  # as even as it needs to be
    ],
)
def test_few_tiles_are_as_many_as_threads_share_evenly(positions: int, threads: int, spans: list[int]) -> None:
    tiling = tile_positions_evenly(positions, 16, 4, threads)
    assert [tile.span for tile in tiling.tiles for _ in range(tile.count)] == spans


@pytest.mark.parametrize(
    ("threads", "images", "parts", "even"),
    [(1, 1, 1, True), (2, 1, 1, False), (2, 1, 2, True), (2, 2, 1, True), (3, 1, 1, True), (4, 1, 1, False)],
)
def test_a_share_is_even_up_to_a_tenth(threads: int, images: int, parts: int, *, even: bool) -> None:
    tiling = tile_positions(196, 16, 4)  # 64, 64, 68: of three threads one has 4% more than the mean
    assert tiling.is_even(threads, images, parts) == even


@pytest.mark.parametrize(("tiles", "even"), [(7, False), (9, False), (11, True), (13, True)])
def test_an_odd_tile_matters_where_there_are_few(tiles: int, *, even: bool) -> None:
    assert tile_positions(tiles * 64, 16, 4).is_even(2) == even


@given(st.integers(1, 60), st.integers(1, 150), st.integers(0, 12), st.sampled_from([8, 16]))
def test_rows_are_covered(rows: int, width: int, extra: int, lanes: int) -> None:
    pitch = width + extra
    tiling = tile_rows(rows, width, pitch, lanes)
    places = covered(tiling)
    assert sorted(set(places)) == [(r * pitch + c, r * width + c) for r in range(rows) for c in range(width)]
    assert tiling.pieces > 1 or len(places) == rows * width
    assert tiling.span <= MOST_VECTORS * lanes


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_rows_a_tile_may_be_chosen(rows: int, width: int, per_tile: int) -> None:
    tiling = tile_equal_rows(rows, width, width, per_tile)
    assert covered(tiling) == [(i, i) for i in range(rows * width)]
    assert all(len(tile.segments) <= per_tile for tile in tiling.tiles)


@pytest.mark.parametrize(("positions", "steps"), [(3136, 64), (784, 64), (196, 64), (49, 64), (197, 64), (128, 64)])
def test_steps_are_even(positions: int, steps: int) -> None:
    assert tile_positions(positions, 16, 4).input_step == steps


def test_a_short_last_tile_has_its_own_span() -> None:
    tiling = tile_positions(150, 16, 4)
    assert [(t.first, t.count, t.span) for t in tiling.tiles] == [(0, 2, 64), (2, 1, 22)]
    assert [t.outputs for t in tiling.tiles] == [64, 22]


def test_one_vector_left_joins_no_tile_that_fills_the_registers() -> None:
    assert [(tile.count, tile.span) for tile in tile_positions(784, 16, 8).tiles] == [(7, 112)]


def test_one_vector_left_joins_the_last_tile() -> None:
    tiling = tile_positions(196, 16, 4)
    assert [(t.first, t.count, t.span) for t in tiling.tiles] == [(0, 2, 64), (2, 1, 68)]


def test_narrow_planes_take_several_rows_a_tile() -> None:
    (tile,) = tile_rows(7, 7, 9, 16).tiles
    assert tile == Tile(0, 1, 61, tuple((r * 9, r * 7, 7) for r in range(7)))


@given(st.integers(1, 1000), st.sampled_from([8, 16]), st.integers(1, 8))
def test_chunks_are_even_and_complete(span: int, lanes: int, most: int) -> None:
    result = chunks(span, lanes, most)
    sizes = [vectors for _, vectors in result]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == -(-span // lanes)
    assert [first for first, _ in result] == [sum(sizes[:i]) * lanes for i in range(len(sizes))]
