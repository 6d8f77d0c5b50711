"""Constant weights of convolutions and products, and which kernel is the fastest for the zeros of one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.kernels.sparse import common_elements
from graphprune.backends.tvm.lowering import Array
from graphprune.layouts import csr
from graphprune.packed.calls import read_call
from graphprune.packed.rows import RowsWeight

COST = {1: 1.8, 2: 1.25, 4: 1.11}
"""Rows summed together -> the time of an element over that of one in our dense kernels (measured, one thread)."""

COST_OF_FEW = {1: 2.2}
"""The same for a few positions, where the bytes of the weight decide."""


@dataclass(frozen=True)
class Weight:
    """A constant weight of `outputs` channels over `inputs` channels (of one group) and `taps` taps.

    Either `dense` [outputs, inputs, taps], or `rows`, where column `c * taps + t` is input channel c, tap t, and
    `height` neighbouring ones are summed together.
    """

    outputs: int
    inputs: int
    taps: int
    dense: Array | None = None
    rows: csr.Rows | None = None
    height: int = 1

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

    @property
    def uses(self) -> float:
        """How often an input element is used, on average, a tap."""
        return self.outputs if self.rows is None else len(self.rows.values) / (self.inputs * self.taps)

    def scaled(self, factor: float) -> Weight:
        """The weight times `factor`."""
        if factor == 1.0 or self.rows is None:
            return self
        return replace(self, rows=replace(self.rows, values=np.float32(factor) * self.rows.values))


def dense_weight(array: Array) -> Weight:
    """A dense weight [outputs, inputs, taps]."""
    return Weight(array.shape[0], array.shape[1], array.shape[2], dense=array)


def packed_weight(node: ir.Node) -> Weight:
    """The weight of a `graphprune::Packed...` call."""
    call = read_call(node)
    shape = call.weight_shape
    rows = call.packed.rows if isinstance(call.packed, RowsWeight) else RowsWeight.pack(call.weight).rows
    return Weight(shape[0], shape[1], math.prod(shape[2:]), rows=rows)


@dataclass(frozen=True)
class Choice:
    """The kernel of a weight.

    Attributes:
        weight: In the form that it takes.
        kernel: Its name.
        why: What decided.
    """

    weight: Weight
    kernel: str
    why: str


def choose(weight: Weight, *, few: bool) -> Choice:
    """Return the kernel of a weight that should take the least time, and why; for a `few` positions or for many."""
    zeros = f"{1 - weight.nonzeros / weight.size:.1%} of the elements are zero"
    if weight.rows is None:
        return Choice(weight, "dense", zeros)
    rows, cost = weight.rows, COST_OF_FEW if few else COST
    costs = {height: cost[height] * common_elements(rows, height) for height in cost if weight.outputs % height == 0}
    height = min(costs, key=lambda each: costs[each])
    estimate = f"estimated at {costs[height] / weight.size:.0%} of the dense kernel's time"
    if costs[height] >= weight.size:
        array = csr.unpack(rows).reshape(weight.outputs, weight.inputs, weight.taps)
        return Choice(dense_weight(array), "dense", f"{zeros}; as sparse rows {estimate}")
    if height == 1:
        return Choice(weight, "rows", f"{zeros}; {estimate}")
    shared = f"{height} outputs share columns; {estimate}"
    return Choice(replace(weight, height=height), f"rows of {height}", f"{zeros}, {shared}")
