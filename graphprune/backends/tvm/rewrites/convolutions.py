"""Convolutions over three axes and more, as convolutions that the plane kernels take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from graphprune.backends.tvm.operators.support import PLANE_AXES
from graphprune.backends.tvm.operators.windows import explicit_pads
from graphprune.passes.definition import Definition


@dataclass(frozen=True)
class Axis:
    """The window of a convolution along one axis of the input."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def output(self) -> int:
        """How many places the window has."""
        return (self.size + self.before + self.after - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    @property
    def is_plain(self) -> bool:
        """Whether each place reads just its own element."""
        return self.kernel == self.stride == 1 and not self.before and not self.after


def _axes_of(define: Definition) -> list[Axis]:
    size, kernel = define.shape()[2:], define.shape(1)[2:]
    strides, dilations = (ints_of(define, name) for name in ("strides", "dilations"))
    pads = explicit_pads(define.node, kernel, strides, dilations, size)
    parts = zip(size, kernel, strides, dilations, pads[: len(size)], pads[len(size) :], strict=True)
    return [Axis(*part) for part in parts]


def ints_of(define: Definition, name: str) -> tuple[int, ...]:
    """Strides or dilations of a convolution, one an axis."""
    return tuple(define.node.attributes.get_ints(name, [1] * (len(define.shape()) - 2)))


def convolution(define: Definition) -> onnx.FunctionProto:
    """A convolution over many axes: over fewer, with what the first axis adds as further channels and images."""
    axes = _axes_of(define)
    images, channels, outputs = *define.shape()[:2], define.shape(1)[0]
    merged = _merged(axes)
    x = define.reshape(define.inputs[0], [images, channels, *(axis.size for axis in merged)])
    weight, bias = define.inputs[1], define.inputs[2] if define.has(2) else None
    if len(merged) <= PLANE_AXES:
        weight = define.reshape(weight, [*define.shape(1)[:2], *(axis.kernel for axis in merged)])
        y = add_convolution(define, x, weight, merged, bias)
    else:
        first, others = merged[0], merged[1:]
        x = define.reshape(_stacked(define, x, first, len(others)), [images * first.output, -1, *_sizes(others)])
        weight = define.reshape(weight, [outputs, -1, *(axis.kernel for axis in others)])
        y = add_convolution(define, x, weight, others, bias)
        y = define.reshape(y, [images, first.output, outputs, *(axis.output for axis in others)])
        y = define("Transpose", y, perm=[0, 2, 1, *range(3, 3 + len(others))])
    return define.finish(define.reshape(y, [images, outputs, *(axis.output for axis in axes)]))


def _sizes(axes: Sequence[Axis]) -> list[int]:
    return [axis.size for axis in axes]


def _merged(axes: Sequence[Axis]) -> list[Axis]:
    """The axes with neighbours along which the window is plain taken as one."""
    result: list[Axis] = []
    for axis in axes:
        if result and result[-1].is_plain and axis.is_plain:
            result[-1] = Axis(result[-1].size * axis.size, 1, 1, 1, 0, 0)
        else:
            result.append(axis)
    return result


def _stacked(define: Definition, x: str, axis: Axis, others: int) -> str:
    """What each place of the window along the first axis reads: [image, place, channel, tap, *others]."""
    if axis.before or axis.after:
        ends = [0, 0, axis.before, *[0] * others, 0, 0, axis.after, *[0] * others]
        x = define("Pad", x, define.constant(ends))
    span = (axis.output - 1) * axis.stride + 1
    starts = [tap * axis.dilation for tap in range(axis.kernel)]
    taps = [define.slice(x, 2, start, start + span, axis.stride) for start in starts]
    place = define.constant([2])
    stacked = define("Concat", *(define("Unsqueeze", tap, place) for tap in taps), axis=2)
    return define("Transpose", stacked, perm=[0, 3, 1, 2, *range(4, 4 + others)])


def add_convolution(define: Definition, x: str, weight: str, axes: Sequence[Axis], bias: str | None) -> str:
    """Add a Conv with this window and the node's groups."""
    return define(
        "Conv",
        *([x, weight] if bias is None else [x, weight, bias]),
        kernel_shape=[axis.kernel for axis in axes],
        strides=[axis.stride for axis in axes],
        dilations=[axis.dilation for axis in axes],
        pads=[axis.before for axis in axes] + [axis.after for axis in axes],
        group=define.node.attributes.get_int("group", 1),
    )
