"""Constant weights of convolutions and products, and the estimate of which kernel is the fastest for their zeros."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.dot import PAIRS, SMALL_QUADS, integers_of
from graphprune.backends.tvm.kernels.elements import FLOAT32, MOST_IN_FLOAT32, Elements, itemsize
from graphprune.backends.tvm.kernels.narrow import narrowed
from graphprune.backends.tvm.kernels.sparse_rows import common_elements
from graphprune.backends.tvm.kernels.words import small_weights, weight_words
from graphprune.backends.tvm.operators.costs import costs_on
from graphprune.backends.tvm.program.recording import Array
from graphprune.layouts import csr
from graphprune.packed.calls import read_call
from graphprune.packed.rows import RowsWeight

FEWEST_ZEROS = 0.1
"""The share of zeros below which no sparse kernel is faster, whatever the pattern."""


@dataclass(frozen=True)
class Weight:
    """A constant weight of `outputs` channels over `inputs` channels (of one group) and `taps` taps.

    `dense` is [outputs, inputs, taps]; of `rows`, column `c * taps + t` is input channel c of those of all groups, tap
    t, and `height` neighbouring ones are summed together. A kernel takes either. Channels that one of the `elements`
    holds count as one.
    """

    outputs: int
    inputs: int
    taps: int
    dense: Array | None = None
    rows: csr.Rows | None = None
    height: int = 1
    groups: int = 1
    elements: Elements = FLOAT32

    @property
    def size(self) -> int:
        """Elements, zeros included."""
        return self.outputs * self.inputs * self.taps

    @property
    def nonzeros(self) -> int:
        """Elements that are not zero."""
        if self.rows is not None:
            return len(self.rows.values)
        assert self.dense is not None
        return int(np.count_nonzero(self.dense))

    @cached_property
    def is_narrow(self) -> bool:
        """Whether all of its nonzeros fit in 16 bits."""
        if self.rows is None or self.elements is not FLOAT32:
            return False
        return narrowed(self.rows.values).itemsize == itemsize("float16")

    @property
    def uses(self) -> float:
        """How often an input element is used, on average, a tap."""
        if self.rows is None:
            return self.outputs / self.groups
        return len(self.rows.values) / (self.inputs * self.groups * self.taps)

    def scaled(self, factor: float) -> Weight:
        """The weight times `factor`."""
        if factor == 1.0 or self.rows is None:
            return self
        return replace(self, rows=replace(self.rows, values=np.float32(factor) * self.rows.values))


def dense_weight(array: Array, groups: int = 1) -> Weight:
    """A dense weight [outputs, inputs, taps]."""
    return Weight(array.shape[0], array.shape[1], array.shape[2], dense=array, groups=groups)


def grouped_weight(array: Array, groups: int) -> Weight:
    """A weight [outputs, inputs, taps] in rows, if it has zeros that a kernel may save."""
    if np.count_nonzero(array) > (1 - FEWEST_ZEROS) * array.size:
        return dense_weight(array, groups)
    outputs, inputs, taps = array.shape
    rows = csr.pack(array.reshape(outputs, inputs * taps))
    group = np.repeat(np.arange(outputs) // (outputs // groups), np.diff(rows.row_offsets))
    columns = (rows.columns + group * (inputs * taps)).astype(np.int32)
    rows = replace(rows, columns=columns, shape=(outputs, groups * inputs * taps))
    return Weight(outputs, inputs, taps, rows=rows, groups=groups)


def integer_weight(array: npt.NDArray[np.int8], elements: Elements) -> Weight:
    """A weight [outputs, inputs, taps] in words, dense and, if it has zeros that a kernel may save, in rows."""
    words = weight_words(array, elements)
    outputs, inputs, taps = words.shape
    weight = Weight(outputs, inputs, taps, dense=words, elements=elements)
    kept = words.reshape(outputs, inputs * taps) != 0
    if np.count_nonzero(kept) > (1 - FEWEST_ZEROS) * kept.size:
        return weight
    rows = csr.pack(kept.astype(np.int8))
    return replace(weight, rows=replace(rows, values=words.reshape(kept.shape)[kept]))


FOURS = 1.35
"""The time of a word of four channels over that of one of two, where no instruction is made for it (measured)."""


def fastest_integers(array: npt.NDArray[np.int8], machine: Machine, *, few: bool) -> Weight:
    """A weight [outputs, inputs, taps] in the words that take the least time, for few positions or for many."""
    plain = integer_weight(array, integers_of(machine.features))
    if few or plain.rows is None or plain.elements is not PAIRS:
        return plain
    small = integer_weight(small_weights(array), SMALL_QUADS)
    return small if FOURS * small.nonzeros < plain.nonzeros else plain


def exact_floats(array: npt.NDArray[np.int8], dtype: str) -> Weight | None:
    """A weight [outputs, inputs, taps] in rows of floats that hold the same integers.

    None where sums over inputs of this type may be no float32 numbers, or no zeros can be saved.
    """
    limits, sizes = np.iinfo(dtype), np.abs(array.astype(np.int64)).sum((1, 2))
    if max(-limits.min, limits.max) * int(sizes.max(initial=0)) > MOST_IN_FLOAT32:
        return None
    weight = grouped_weight(array.astype(np.float32), 1)
    return None if weight.rows is None else weight


def _unpacked(weight: Weight) -> Weight:
    """A weight in rows as a dense one: of each group, what lies over its own inputs."""
    assert weight.rows is not None
    groups, of_group = weight.groups, weight.outputs // weight.groups
    columns = csr.unpack(weight.rows).reshape(groups, of_group, groups, weight.inputs, weight.taps)
    own = columns[np.arange(groups), :, np.arange(groups)]
    return dense_weight(own.reshape(weight.outputs, weight.inputs, weight.taps), groups)


def packed_weight(node: ir.Node) -> Weight:
    """The weight of a `graphprune::Packed...` call."""
    call = read_call(node)
    shape = call.weight_shape
    rows = call.packed.rows if isinstance(call.packed, RowsWeight) else RowsWeight.pack(call.weight).rows
    return Weight(shape[0], shape[1], math.prod(shape[2:]), rows=rows)


@dataclass(frozen=True)
class Candidate:
    """A kernel that a weight may be given.

    Attributes:
        kernel: Its name.
        share: Its estimated time over that of the dense kernel.
        height: Output rows that are summed together; 0 for the dense kernel.
    """

    kernel: str
    share: float
    height: int

    def form(self, weight: Weight) -> Weight:
        """The weight as this kernel takes it."""
        if self.height:
            return replace(weight, height=self.height, dense=None)
        return _unpacked(weight) if weight.dense is None else replace(weight, rows=None)


DENSE = Candidate("dense", 1.0, 0)


def candidates(weight: Weight, machine: Machine, *, few: int, near: bool = False) -> list[Candidate]:
    """Return the kernels that a weight may be given, the fastest by estimate first; for `few` positions, 0 if many.

    `near` tells whether the weights of the whole model fit the L2 cache.
    """
    if weight.rows is None or (few and weight.elements is not FLOAT32):
        return [DENSE]
    costs, near = costs_on(machine), near and few > 0
    cost = costs.narrow if few == 1 and weight.is_narrow else costs.few if few else costs.rows
    begun = costs.row if near else 0.0
    sparse = [
        Candidate(
            "rows" if height == 1 else f"rows of {height}",
            (each * common_elements(weight.rows, height) + begun * weight.outputs / height) / weight.size,
            height,
        )
        for height, each in (costs.near if near else cost).items()
        if weight.outputs % height == 0
    ]
    return sorted([DENSE, *sparse], key=lambda candidate: candidate.share)


def explain(
    weight: Weight, picked: Candidate, eligible: Sequence[Candidate], seconds: Mapping[Candidate, float]
) -> str:
    """Say why the kernel was picked: by measured `seconds` of each, or by estimate where there are none."""
    unit = "elements" if weight.elements.channels == 1 else f"runs of {weight.elements.channels} channels"
    zeros = f"{1 - weight.nonzeros / weight.size:.1%} of the {unit} are zero"
    if len(eligible) == 1:
        return zeros
    if weight.is_narrow:
        zeros += ", the others fit in 16 bits"
    if seconds:
        times = (f"{c.kernel} {1e3 * s:.3g} ms" for c, s in sorted(seconds.items(), key=lambda each: each[1]))
        return f"{zeros}; measured: {', '.join(times)}"
    shared = f", {picked.height} outputs share columns" if picked.height > 1 else ""
    sparse = next(candidate for candidate in eligible if candidate.height)
    name = "" if picked.height else f"{sparse.kernel} "
    return f"{zeros}{shared}; {name}estimated at {sparse.share:.0%} of the dense kernel's time"
