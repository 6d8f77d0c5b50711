"""Scaled dot-product attention in one kernel: the scores of a panel of queries stay in cache until they are used.

`y[b, i] = sum over j of share[b, i, j] * v[b, j]`, where the shares are the softmax along j of `q[b, i] . k[b, j]`.
Vectors run over queries throughout, so that the softmax never combines the lanes of a vector; scores lie as [key][query
of the panel]. This is the tiling over queries of Dao et al., "FlashAttention" (arXiv 2205.14135), section 3.1, without
the one over keys: a softmax of whole rows rounds as a kernel by itself does, and a panel's scores fit the L2 cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tvm import tirx

from graphprune.backends.tvm.kernels import math as functions
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
    registers,
    scratch,
    store,
    unrolled_lanes,
)
from graphprune.backends.tvm.kernels.dense import clear, copy_lanes, most_rows, register_tile
from graphprune.backends.tvm.kernels.epilogue import Epilogue, no_epilogue
from graphprune.backends.tvm.kernels.planes import span_of
from graphprune.backends.tvm.kernels.register_tiles import Columns, Operand, Panels, RowBlocks, panels_of, tile_sums
from graphprune.backends.tvm.kernels.view import View, coalesce

DTYPE = "float32"

BATCHES_A_THREAD = 4
"""From so many matrices a thread on, queries are not divided among threads: each copies the keys that it needs."""


@dataclass(frozen=True)
class Epilogues:
    """What is done with each score, share and output, at (flat batch, row, column); None where nothing is."""

    scores: Epilogue | None = None
    shares: Epilogue | None = None
    output: Epilogue | None = None


NO_EPILOGUES = Epilogues()


@dataclass(frozen=True)
class _Attention:
    """The sizes: `keys` are rows of channels, `features` rows of keys; `swapped` if queries lie fastest in `y`."""

    machine: Machine
    batch: tuple[int, ...]
    query: Operand
    queries: int
    keys: RowBlocks
    features: RowBlocks
    panels: tuple[Panels, ...]
    swapped: bool

    @property
    def parts(self) -> int:
        """How many parts the queries of a matrix are divided into."""
        threads, batches = self.machine.threads, math.prod(self.batch)
        return 1 if batches % threads == 0 or batches >= BATCHES_A_THREAD * threads else threads


def attention_function(
    machine: Machine,
    q: View,
    k: View,
    v: View,
    operands: Sequence[Flat] = (),
    epilogues: Epilogues = NO_EPILOGUES,
    *,
    columns_contiguous: bool = True,
    output_dtype: str = DTYPE,
) -> Expr:
    """The TIR function (q, k, v, operands..., y) of views q [batch..., i, c], k [batch..., c, j], v [batch..., j, f].

    All are float32 with equal batch axes (repeated with stride 0 where one is shared), and not empty. `y` is
    [batch][i][f], or [batch][f][i] unless `columns_contiguous`.
    """
    a = _sizes(machine, q, k, v, swapped=not columns_contiguous)
    size = math.prod(a.batch) * a.queries * a.features.rows
    inputs = [Flat(name, view.size, DTYPE) for name, view in (("q", q), ("k", k), ("v", v))]

    def body(kernel: Kernel) -> None:
        with loop(math.prod(a.batch) * a.parts, parallel=machine.threads > 1) as step:
            batch = bind(step // a.parts)
            keys, features = (_copied(kernel, a, blocks, batch) for blocks in (a.keys, a.features))
            for panels in a.panels:
                bounds = [part * panels.count // a.parts for part in range(a.parts + 1)]
                begin, count = span_of(step % a.parts, bounds)
                with loop(count) as number:
                    start = panels.start(begin + number)
                    _Panel(kernel, a, epilogues, batch, panels, start).emit(keys, features)

    return build_function("attention", [*inputs, *operands, Flat("y", size, output_dtype)], body)


def _sizes(machine: Machine, q: View, k: View, v: View, *, swapped: bool) -> _Attention:
    batch, strides = coalesce(q.shape[:-2], [view.strides[:-2] for view in (q, k, v)])
    queries, channels, keys, features = *q.shape[-2:], *v.shape[-2:]
    query = Operand("q", q.offset, tuple(strides[0]), q.strides[-2], q.strides[-1])
    key = Operand("k", k.offset, tuple(strides[1]), k.strides[-1], k.strides[-2])
    value = Operand("v", v.offset, tuple(strides[2]), v.strides[-1], v.strides[-2])
    block, vectors = register_tile(machine, queries, features)
    return _Attention(
        machine=machine,
        batch=tuple(batch),
        query=query,
        queries=queries,
        keys=RowBlocks(key, keys, channels, min(most_rows(machine, vectors), keys), machine.lanes),
        features=RowBlocks(value, features, keys, block, machine.lanes),
        panels=panels_of(queries, machine.lanes, vectors),
        swapped=swapped,
    )


def _copied(kernel: Kernel, a: _Attention, blocks: RowBlocks, batch: Expr) -> Expr:
    """All blocks of a matrix, in the order in which tiles read them."""
    copy, matrix = scratch(blocks.count * blocks.size), bind(blocks.operand.matrix(a.batch, batch))
    with loop(blocks.count) as number:
        blocks.copy(kernel, matrix, number, copy, bind(number * blocks.size))
    return copy


@dataclass(frozen=True)
class _Panel:
    """The queries of one panel, from number `start` on."""

    kernel: Kernel
    sizes: _Attention
    epilogues: Epilogues
    batch: Expr
    panels: Panels
    start: Expr

    def emit(self, keys: Expr, features: Expr) -> None:
        """Scores, their softmax, and the sums of the values."""
        query = self._queries()
        scores = scratch(self.sizes.keys.rows * self.panels.wide)
        self._scores(query, keys, scores)
        self._softmax(scores)
        self._outputs(scores, features)

    def _queries(self) -> Expr:
        """[channel][query], zero beyond the last one."""
        a, wide = self.sizes, self.panels.wide
        query = scratch(a.keys.depth * wide)
        if self.panels.width < wide:
            with loop(a.keys.depth) as channel:
                lanes(wide, a.machine.lanes, lambda i: clear(query, channel * wide + i))
        source = bind(a.query.matrix(a.batch, self.batch) + self.start * a.query.outer)
        self.panels.copy(self.kernel, a.query, source, a.keys.depth, query, tirx.IntImm("int32", 0))
        return query

    def _sums(self, blocks: RowBlocks, rows: Expr, number: Expr, columns: Expr) -> list[Expr]:
        panel = Columns(columns, tirx.IntImm("int32", 0), self.panels.wide, self.panels.wide)
        return tile_sums(blocks, rows, bind(number * blocks.size), panel, self.panels, DTYPE)

    def _scores(self, query: Expr, keys: Expr, scores: Expr) -> None:
        wide, width, blocks = self.panels.wide, self.sizes.machine.lanes, self.sizes.keys
        with loop(blocks.count) as number:
            sums, first = self._sums(blocks, keys, number, query), blocks.first(number)
            for row, total in enumerate(sums):
                unrolled_lanes(wide, width, partial(copy_lanes, scores, (first + row) * wide, total))
            if self.epilogues.scores is not None:
                with loop(blocks.block) as row:
                    self._apply(self.epilogues.scores, scores, bind(first + row))

    def _apply(self, epilogue: Epilogue, scores: Expr, key: Expr, factor: Expr = None) -> None:
        """The epilogue of all queries of one key, times a factor of each before."""

        def element(i: Expr) -> None:
            at = key * self.panels.wide + i
            value = scores[at] if factor is None else scores[at] * factor[i]
            store(scores, at, epilogue(self.kernel, value, (self.batch, self.start + i, key)))

        unrolled_lanes(self.panels.width, self.sizes.machine.lanes, element)

    def _softmax(self, scores: Expr) -> None:
        """As the kernel of a softmax by itself: exp(x - max) over its sum."""
        wide, width, keys = self.panels.wide, self.sizes.machine.lanes, self.sizes.keys.rows
        top, total = registers(wide), registers(wide)

        def each(body: Expr) -> None:
            with loop(keys) as key:
                unrolled_lanes(wide, width, partial(body, bind(key * wide)))

        def largest(at: Expr, i: Expr) -> None:
            store(top, i, tirx.max(top[i], scores[at + i]))

        def exponential(at: Expr, i: Expr) -> None:
            value = bind(functions.exp(scores[at + i] - top[i]))
            store(scores, at + i, value)
            store(total, i, total[i] + value)

        unrolled_lanes(wide, width, lambda i: store(top, i, constant(float("-inf"), DTYPE)))
        each(largest)
        unrolled_lanes(wide, width, partial(clear, total))
        each(exponential)
        unrolled_lanes(wide, width, lambda i: store(total, i, constant(1.0, DTYPE) / total[i]))
        with loop(keys) as key:
            self._apply(self.epilogues.shares or no_epilogue, scores, key, total)

    def _outputs(self, shares: Expr, features: Expr) -> None:
        wide, width, blocks = self.panels.wide, self.sizes.machine.lanes, self.sizes.features
        epilogue = self.epilogues.output or no_epilogue
        with loop(blocks.count) as number:
            sums, line = self._sums(blocks, features, number, shares), scratch(blocks.block * wide)
            for row, total in enumerate(sums):
                unrolled_lanes(self.panels.width, width, partial(copy_lanes, line, row * wide, total))
            with loop(blocks.block) as row:
                feature, at = bind(blocks.first(number) + row), bind(row * wide)

                def element(i: Expr, feature: Expr = feature, at: Expr = at) -> None:
                    value = epilogue(self.kernel, line[at + i], (self.batch, self.start + i, feature))
                    store(self.kernel["y"], self._place(self.start + i, feature), value)

                lanes(self.panels.width, width, element)

    def _place(self, query: Expr, feature: Expr) -> Expr:
        queries, features = self.sizes.queries, self.sizes.features.rows
        if self.sizes.swapped:
            return (self.batch * features + feature) * queries + query
        return (self.batch * queries + query) * features + feature
