"""Transposed convolutions as convolutions whose outputs are put in place (sub-pixel convolution)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from graphprune.backends.tvm.operators.windows import transposed_pads
from graphprune.backends.tvm.rewrites.convolutions import Axis, add_convolution, ints_of
from graphprune.passes.definition import Definition

MOST_APART = 8
"""Phases that may become convolutions of their own."""

WORTH_APART = 1.25
"""From how many times the products on that all phases together need, each is faster by itself: at 1.8, by a third."""

MANY_ZEROS = 0.5
"""The share of a weight from which on the sparse kernels skip the zeros, also those between phases."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Phases:
    """A transposed convolution along one axis, by the remainders of the output's places modulo the stride.

    Uncut, place `block * stride + phase` sums the elements `block - tap` times the kernel's element
    `(phase + tap * stride) / dilation`, where that is one: for each phase an ordinary convolution.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    cut: int
    output: int
    phases: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Elements of the input that a place may read; as many for all phases."""
        hits = np.flatnonzero((self._table() < self.kernel).any(axis=0))
        return int(hits[-1]) + 1 if hits.size else 1

    @property
    def first(self) -> int:
        """The first block of the output."""
        return self.cut // self.stride

    @property
    def blocks(self) -> int:
        """Blocks of the output, of which the first and the last may be cut."""
        return (self.cut + self.output - 1) // self.stride - self.first + 1

    def window(self) -> Axis:
        """The convolution of each phase; pads may be negative."""
        before = self.taps - 1 - self.first
        return Axis(self.size, self.taps, 1, 1, before, self.blocks + self.taps - 1 - before - self.size)

    def places(self) -> Indices:
        """The kernel's element of each phase and tap, flat; `kernel`, one more than there are, where there is none."""
        return self._table()[:, : self.taps][:, ::-1].ravel()

    def apart(self) -> list[Phases]:
        """Each phase by itself."""
        return [replace(self, phases=(phase,)) for phase in self.phases]

    def _table(self) -> Indices:
        most = (self.kernel - 1) * self.dilation // self.stride + 1
        place = np.array(self.phases)[:, None] + np.arange(most) * self.stride
        is_hit = (place % self.dilation == 0) & (place < self.kernel * self.dilation)
        return np.where(is_hit, place // self.dilation, self.kernel)


def transposed_convolution(define: Definition) -> onnx.FunctionProto | None:
    """A transposed convolution: the phases of an output channel are channels, or convolutions, then put in place.

    None where everything but the output's padding is cut off.

    Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", arXiv 1609.07009.
    """
    axes = _axes_of(define)
    if any(max(0, -axis.window().before) >= axis.size for axis in axes):
        return None
    rank, images = len(axes), define.shape()[0]
    blocks, strides = [axis.blocks for axis in axes], [axis.stride for axis in axes]
    parts = list(itertools.product(*(axis.apart() for axis in axes))) if _are_apart(define, axes) else [axes]
    results = [define.reshape(_of_phases(define, part), [images, _outputs(define), -1, *blocks]) for part in parts]
    y = results[0] if len(results) == 1 else define("Concat", *results, axis=2)
    y = define.reshape(y, [images, -1, *strides, *blocks])
    order = [place for axis in range(rank) for place in (2 + rank + axis, 2 + axis)]
    y = define.reshape(
        define("Transpose", y, perm=[0, 1, *order]), [images, -1, *map(math.prod, zip(blocks, strides, strict=True))]
    )
    for index, axis in enumerate(axes):
        start = axis.cut - axis.first * axis.stride
        if axis.output != axis.blocks * axis.stride:
            y = define.slice(y, 2 + index, start, start + axis.output)
    return define.finish(y)


def _axes_of(define: Definition) -> list[Phases]:
    size, kernel, output = define.shape()[2:], define.shape(1)[2:], define.output_shape()[2:]
    strides, dilations = (ints_of(define, name) for name in ("strides", "dilations"))
    cuts = transposed_pads(define.node, kernel, size, output)
    parts = zip(size, kernel, strides, dilations, cuts, output, strict=True)
    return [Phases(n, k, s, d, c, m, tuple(range(s))) for n, k, s, d, c, m in parts]


def _outputs(define: Definition) -> int:
    return define.shape(1)[1] * define.node.attributes.get_int("group", 1)


def _are_apart(define: Definition, axes: Sequence[Phases]) -> bool:
    """Whether each phase becomes a convolution of its own: they differ in their taps, and there are few."""
    weight = define.known(1)
    is_sparse = weight is not None and np.count_nonzero(weight) <= (1 - MANY_ZEROS) * weight.size
    together = math.prod(axis.stride * axis.taps for axis in axes)
    needed = math.prod(sum(phase.taps for phase in axis.apart()) for axis in axes)
    few = math.prod(axis.stride for axis in axes) <= MOST_APART
    return few and not is_sparse and together >= WORTH_APART * needed


def _of_phases(define: Definition, axes: Sequence[Phases]) -> str:
    """The convolution of these phases: [image, output channel and phase, *block]."""
    windows, x = [axis.window() for axis in axes], define.inputs[0]
    for index, window in enumerate(windows):
        start, end = max(0, -window.before), window.size - max(0, -window.after)
        x = x if end - start == window.size else define.slice(x, 2 + index, start, end)
    kept = [replace(window, before=max(0, window.before), after=max(0, window.after)) for window in windows]
    return add_convolution(define, x, _weight(define, axes), kept, _bias(define, axes))


def _weight(define: Definition, axes: Sequence[Phases]) -> str:
    """[inputs, outputs of a group, *kernel] as [outputs and phases, inputs of a group, *taps]."""
    rank, (inputs, outputs) = len(axes), define.shape(1)[:2]
    groups = define.node.attributes.get_int("group", 1)
    weight = define("Pad", define.inputs[1], define.constant([0] * (2 + rank) + [0, 0] + [1] * rank))
    for index, axis in enumerate(axes):
        weight = define("Gather", weight, define.constant(axis.places()), axis=2 + index)
    parts = [n for axis in axes for n in (len(axis.phases), axis.taps)]
    weight = define.reshape(weight, [groups, inputs // groups, outputs, *parts])
    phases, taps = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    weight = define("Transpose", weight, perm=[0, 2, *phases, 1, *taps])
    return define.reshape(weight, [-1, inputs // groups, *(axis.taps for axis in axes)])


def _bias(define: Definition, axes: Sequence[Phases]) -> str | None:
    """The bias of each output channel for each of its phases."""
    phases = math.prod(len(axis.phases) for axis in axes)
    if not define.has(2) or phases == 1:
        return define.inputs[2] if define.has(2) else None
    columns = define("Expand", define.reshape(define.inputs[2], [-1, 1]), define.constant([1, phases]))
    return define.reshape(columns, [-1])
