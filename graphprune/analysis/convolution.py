"""The attributes of a convolution, with every default and `auto_pad` resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class ConvolutionAttributes:
    """Where a convolution reads.

    Attributes:
        strides: One a spatial axis.
        dilations: One a spatial axis.
        pads: All begins, then all ends.
        group: The number of groups.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    group: int


def convolution_attributes(node: ir.Node, kernel: Sequence[int]) -> ConvolutionAttributes | None:
    """Return the attributes of a Conv with the spatial extents `kernel`.

    None where `auto_pad` is `SAME_…` and the padding follows from an input extent that is not known, or is negative:
    where the stride exceeds the kernel, runtimes disagree on what is read.
    """
    axes = len(kernel)
    strides = tuple(node.attributes.get_ints("strides", [1] * axes))
    dilations = tuple(node.attributes.get_ints("dilations", [1] * axes))
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    group = node.attributes.get_int("group", 1)
    if mode == "NOTSET":
        pads = tuple(node.attributes.get_ints("pads", [0] * 2 * axes))
        return ConvolutionAttributes(strides, dilations, pads, group)
    if mode == "VALID":
        return ConvolutionAttributes(strides, dilations, (0,) * 2 * axes, group)
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    spatial = [None] * axes if shape is None else [dim if isinstance(dim, int) else None for dim in shape[2:]]
    begins, ends = [], []
    for extent, size, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        total = _same_padding(extent, (size - 1) * dilation + 1, stride)
        if total is None:
            return None
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if mode == "SAME_UPPER" else larger)
        ends.append(larger if mode == "SAME_UPPER" else smaller)
    return ConvolutionAttributes(strides, dilations, (*begins, *ends), group)


def _same_padding(extent: int | None, reach: int, stride: int) -> int | None:
    """The padding that makes the output `ceil(extent / stride)` long, if it is known and not negative."""
    if stride == 1:
        return reach - 1
    if extent is None:
        return None
    total = (-(-extent // stride) - 1) * stride + reach - extent
    return total if total >= 0 else None
