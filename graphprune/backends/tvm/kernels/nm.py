"""N:M weight times rows: matrix products whose inputs lie next to each other, from one row (decoding) to many.

`y[r, o] = sum over groups g and slots j of value[o, g, j] * x[r, g * of + place[o, g, j]]`. Vectors run over outputs. A
group's inputs are brought into every vector once, and a permutation of lanes picks each output's own: any places
within the groups run at the same speed, and the weight moves through memory packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.op import call_llvm_pure_intrin
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    registers,
    scratch,
    select_last,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import clear, copy_lanes
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.narrow import Narrowed, narrowed, widened


@dataclass(frozen=True)
class Permutation:
    """An instruction that picks one of `of` inputs for each of `lanes` lanes, and the instruction set that has it."""

    feature: str
    lanes: int
    of: int
    intrinsic: str


PERMUTATIONS = (
    Permutation("avx512f", 16, 4, "llvm.x86.avx512.vpermilvar.ps.512"),
    Permutation("avx512f", 16, 8, "llvm.x86.avx512.permvar.sf.512"),
    Permutation("avx512f", 16, 16, "llvm.x86.avx512.permvar.sf.512"),
    Permutation("avx", 8, 4, "llvm.x86.avx.vpermilvar.ps.256"),
    Permutation("avx2", 8, 8, "llvm.x86.avx2.permps"),
)
"""Of float32; a target that has none of these is not served by this kernel."""


def permutations(machine: Machine) -> dict[int, str]:
    """The instruction for groups of each number of inputs that the machine's vectors can be picked from."""
    return {p.of: p.intrinsic for p in PERMUTATIONS if p.lanes == machine.lanes and p.feature in machine.features}


IN_WORDS = 4
"""The group whose places are stored two bits each, a vector of them in one word; places of others take a byte."""

TILES = {32: (4, 4), 16: (4, 2)}
"""Vector registers -> rows and vectors of outputs of a register tile, beside inputs, places and weights (measured)."""

DECODE_VECTORS = 4
"""Vectors of outputs of the register tile of a single row: enough independent sums to hide the latency."""


@dataclass(frozen=True)
class RowsProblem:
    """Rows of `inputs` contiguous numbers in a buffer of `size`: the first at `offset`, then every `row_stride`."""

    machine: Machine
    size: int
    rows: int
    inputs: int
    outputs: int
    row_stride: int
    offset: int = 0

    @property
    def tile_rows(self) -> int:
        """Rows of the register tile."""
        return min(self.rows, TILES[self.machine.registers][0])

    @property
    def tile_vectors(self) -> int:
        """Vectors of outputs of the register tile."""
        most = DECODE_VECTORS if self.rows == 1 else TILES[self.machine.registers][1]
        return min(most, -(-self.outputs // self.machine.lanes))


@dataclass(frozen=True)
class NmBlocks:
    """The packed weight of the kernel: `values` [block][group][slot][vector][lane], `places` the same.

    Values are `narrowed`. Places are uint8, or int32 (16 lanes) and uint16 (8 lanes) words with two bits a lane.
    Outputs are padded with zeros to whole blocks, the last group to whole slots.
    """

    values: Narrowed
    places: npt.NDArray[np.int32] | npt.NDArray[np.uint16] | npt.NDArray[np.uint8]
    keep: int
    of: int
    groups: int
    blocks: int
    vectors: int


def nm_blocks(
    values: npt.NDArray[np.float32],
    places: npt.NDArray[np.uint8],
    keep: int,
    of: int,
    width: int,
    vectors: int,
) -> NmBlocks:
    """Pack values and places [outputs, slots] for register tiles of `vectors` vectors of `width` lanes."""
    outputs, slots = values.shape
    groups, blocks = -(-slots // keep), -(-outputs // (vectors * width))
    missing = ((0, blocks * vectors * width - outputs), (0, groups * keep - slots))

    def blocked(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        whole = np.pad(array, missing).reshape(blocks, vectors, width, groups, keep)
        return np.ascontiguousarray(whole.transpose(0, 3, 4, 1, 2))

    packed = blocked(places)
    if of == IN_WORDS:
        shifted = packed.astype(np.uint32) << (2 * np.arange(width, dtype=np.uint32))
        words = np.bitwise_or.reduce(shifted, axis=-1)
        packed = words.view(np.int32) if width * 2 > 16 else words.astype(np.uint16)
    return NmBlocks(blocked(narrowed(values)), packed, keep, of, groups, blocks, vectors)  # type: ignore[arg-type]


def nm_function(
    name: str,
    problem: RowsProblem,
    weight: NmBlocks,
    operands: Sequence[Flat] = (),
    epilogue: Epilogue = no_epilogue,
    output_dtype: str = "float32",
) -> Expr:
    """The TIR function (x, values, places, shifts, operands..., y), `y` [row][output].

    The epilogue's position is (0, row, output).
    """
    p = problem
    arguments = [
        Flat("x", p.size, "float32"),
        Flat("values", weight.values.size, str(weight.values.dtype)),
        Flat("places", weight.places.size, str(weight.places.dtype)),
        Flat("shifts", p.machine.lanes, "int32"),
        *operands,
        Flat("y", p.rows * p.outputs, output_dtype),
    ]

    def body(kernel: Kernel) -> None:
        source = _Source.of(kernel, p, weight)
        tiles = -(-p.rows // p.tile_rows)
        with loop(weight.blocks, parallel=p.machine.threads > 1) as block, loop(tiles) as tile:
            row = bind(tirx.min(tile * p.tile_rows, p.rows - p.tile_rows))  # the last tile ends with the rows
            _emit_tile(kernel, p, weight, source, block, row, epilogue)

    return build_function(name, arguments, body)


@dataclass(frozen=True)
class _Source:
    """Where rows are read: the input itself, or a copy whose last group is filled up with zeros."""

    buffer: Expr
    offset: int
    stride: int

    @classmethod
    def of(cls, kernel: Kernel, p: RowsProblem, weight: NmBlocks) -> _Source:
        whole = weight.groups * weight.of
        if whole == p.inputs:
            return cls(kernel["x"], p.offset, p.row_stride)
        copy = scratch(p.rows * whole)
        with loop(p.rows) as row:
            source, target = bind(p.offset + row * p.row_stride), bind(row * whole)
            lanes(p.inputs, p.machine.lanes, lambda i: store(copy, target + i, kernel["x"][source + i]))
            lanes(whole - p.inputs, p.machine.lanes, partial(_clear_from, copy, target + p.inputs))
        return cls(copy, 0, whole)


def _clear_from(buffer: Expr, start: Expr, i: Expr) -> None:
    """buffer[start + i] = 0."""
    clear(buffer, start + i)


def _emit_tile(
    kernel: Kernel, p: RowsProblem, weight: NmBlocks, source: _Source, block: Expr, row: Expr, epilogue: Epilogue
) -> None:
    width, wide = p.machine.lanes, weight.vectors * p.machine.lanes
    pick = permutations(p.machine)[weight.of]
    sums = [registers(wide) for _ in range(p.tile_rows)]
    for total in sums:
        unrolled_lanes(wide, width, partial(clear, total))
    starts = [bind(source.offset + (row + r) * source.stride) for r in range(p.tile_rows)]
    with loop(weight.groups) as group:
        first = bind((block * weight.groups + group) * (weight.keep * weight.vectors))
        inputs = [_inputs(source.buffer, start + group * weight.of, weight.of, width) for start in starts]
        for slot in range(weight.keep * weight.vectors):
            values = widened(kernel["values"], (first + slot) * width, width)
            places = _places(kernel, weight, first + slot, width)
            lane = T.ramp(slot % weight.vectors * width, 1, width)
            for total, x in zip(sums, inputs, strict=True):
                picked = call_llvm_pure_intrin(f"float32x{width}", pick, x, places)
                store(total, lane, total[lane] + values * picked)
    _write_tile(kernel, p, weight, block, row, sums, epilogue)


def _inputs(x: Expr, at: Expr, of: int, width: int) -> Expr:
    """The inputs of a group, repeated through a vector."""
    group = x[T.ramp(at, 1, of)]
    if of == width:
        return group
    return tirx.Shuffle([group] * (width // of), [tirx.IntImm("int32", i) for i in range(width)])


def _places(kernel: Kernel, weight: NmBlocks, vector: Expr, width: int) -> Expr:
    """The place of each lane's input; of words only the lowest bits of a lane are looked at."""
    if weight.of != IN_WORDS:
        return kernel["places"][T.ramp(vector * width, 1, width)].astype(f"int32x{width}")
    word = kernel["places"][vector].astype("int32")
    return tirx.shift_right(tirx.Broadcast(word, width), kernel["shifts"][T.ramp(0, 1, width)])


def _write_tile(
    kernel: Kernel, p: RowsProblem, weight: NmBlocks, block: Expr, row: Expr, sums: list[Expr], epilogue: Epilogue
) -> None:
    """Store a tile, epilogue applied; through memory, so that the code of the epilogue is emitted once."""
    width, wide = p.machine.lanes, weight.vectors * p.machine.lanes
    line = scratch(p.tile_rows * wide)
    for r, total in enumerate(sums):
        unrolled_lanes(wide, width, partial(copy_lanes, line, r * wide, total))
    first, last = bind(block * wide), p.outputs - (weight.blocks - 1) * wide

    def write(*, is_last: bool) -> None:
        with loop(p.tile_rows) as r:
            number, at = bind(row + r), bind(r * wide)

            def element(i: Expr) -> None:
                value = epilogue(kernel, line[at + i], (tirx.IntImm("int32", 0), number, first + i))
                store(kernel["y"], number * p.outputs + first + i, value)

            lanes(last if is_last else wide, width, element)

    if last == wide:
        write(is_last=False)
    else:
        select_last(block, weight.blocks, write)
