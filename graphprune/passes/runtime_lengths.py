"""Lengths that ONNX Runtime computes where onnx infers others: each rule computes them, and says them to onnx."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Dims = Sequence[int | None]
Attributes = Mapping[str, Any]


class LengthRule(abc.ABC):
    """The lengths of one node's output, from what its attributes and constants were in the model."""

    @abc.abstractmethod
    def lengths(self, dims: Dims, kernel: Dims | None) -> Dims | None:
        """The output's extents for an input of extents `dims` and a weight of extents `kernel`; None where open."""

    @abc.abstractmethod
    def tell(self, graph: onnx.GraphProto, node: onnx.NodeProto, dims: Dims, lengths: Dims) -> None:
        """Change `node`, which only inference reads, so that onnx infers `lengths` from `dims`."""


class ResizedLengths(LengthRule):
    """Resize and Upsample by scales: the product is taken in float32, and rounded down."""

    def __init__(self, scales: np.ndarray, axes: Sequence[int] | None, index: int) -> None:
        self._scales, self._axes, self._index = scales.astype(np.float32), axes, index

    def lengths(self, dims: Dims, kernel: Dims | None) -> Dims | None:  # noqa: ARG002 - no weight
        """Multiply in float32."""
        result = list(dims)
        for axis, scale in self._along(dims):
            extent = dims[axis]
            result[axis] = None if extent is None else int(np.float32(extent) * scale)
        return result

    def tell(self, graph: onnx.GraphProto, node: onnx.NodeProto, dims: Dims, lengths: Dims) -> None:
        """Write scales that give the lengths without rounding."""
        scales = np.array(
            [
                (wanted + 0.5) / extent if (extent := dims[axis]) and (wanted := lengths[axis]) is not None else scale
                for axis, scale in self._along(dims)
            ],
            np.float32,
        )
        if len(node.input) <= self._index:
            _set(node, scales=scales.tolist())
            return
        name = f"{node.output[0]}_scales_of_lengths"
        for each in [each for each in graph.initializer if each.name == name]:
            graph.initializer.remove(each)
        graph.initializer.append(numpy_helper.from_array(scales, name))
        node.input[self._index] = name

    def _along(self, dims: Dims) -> list[tuple[int, Any]]:
        axes = range(len(dims)) if self._axes is None else [axis % len(dims) for axis in self._axes]
        return list(zip(axes, self._scales, strict=False))


class PooledLengths(LengthRule):
    """Poolings with `ceil_mode`: a window that would begin behind the input and its first padding is left out."""

    def __init__(self, attributes: Attributes) -> None:
        self._kernel = attributes["kernel_shape"]
        rank = len(self._kernel)
        self._strides: list[int] = attributes.get("strides", [1] * rank)
        dilations = attributes.get("dilations", [1] * rank)
        self._reach: list[int] = [(k - 1) * d + 1 for k, d in zip(self._kernel, dilations, strict=True)]
        is_valid = attributes.get("auto_pad", b"NOTSET") == b"VALID"
        self._pads: list[int] = [0] * 2 * rank if is_valid else attributes.get("pads", [0] * 2 * rank)

    def lengths(self, dims: Dims, kernel: Dims | None) -> Dims | None:  # noqa: ARG002 - no weight
        """Count windows from their strides."""
        return [*dims[:2], *(self._length(axis, extent) for axis, extent in enumerate(dims[2:]))]

    def _length(self, axis: int, extent: int | None) -> int | None:
        if extent is None:
            return None
        stride, before = self._strides[axis], self._pads[axis]
        covered = extent + before + self._pads[axis + len(self._kernel)] - self._reach[axis]
        length = -(-covered // stride) + 1
        return length - int((length - 1) * stride >= extent + before)

    def tell(self, graph: onnx.GraphProto, node: onnx.NodeProto, dims: Dims, lengths: Dims) -> None:  # noqa: ARG002
        """Write the last padding that gives the lengths without `ceil_mode`."""
        rank = len(self._kernel)
        ends = list(self._pads[rank:])
        for axis, (extent, length) in enumerate(zip(dims[2:], lengths[2:], strict=True)):
            if extent is not None and length is not None:
                ends[axis] = (length - 1) * self._strides[axis] + self._reach[axis] - extent - self._pads[axis]
        _set(node, ceil_mode=0, auto_pad="NOTSET", pads=[*self._pads[:rank], *(max(0, end) for end in ends)])


class TransposedLengths(LengthRule):
    """ConvTranspose with `auto_pad` SAME: of what exceeds input times stride all is cut, `output_padding` too."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def lengths(self, dims: Dims, kernel: Dims | None) -> Dims | None:
        """Compute them from the weight's extents, if these are known."""
        rank = len(dims) - 2
        taps = self._attributes.get("kernel_shape", None if kernel is None else kernel[2:])
        if kernel is None or taps is None or None in taps or kernel[1] is None:
            return None
        strides, dilations = (self._attributes.get(name, [1] * rank) for name in ("strides", "dilations"))
        extra = self._attributes.get("output_padding", [0] * rank)
        reaches = [p + (k - 1) * d + 1 for p, k, d in zip(extra, taps, dilations, strict=True)]
        spatial = [
            None if n is None else (n - 1) * s + min(reach, s)
            for n, s, reach in zip(dims[2:], strides, reaches, strict=True)
        ]
        return [dims[0], kernel[1] * self._attributes.get("group", 1), *spatial]

    def tell(self, graph: onnx.GraphProto, node: onnx.NodeProto, dims: Dims, lengths: Dims) -> None:  # noqa: ARG002
        """Write them as `output_shape`."""
        if None not in lengths[2:]:
            _set(node, auto_pad="NOTSET", output_shape=list(lengths[2:]))


def _set(node: onnx.NodeProto, **attributes: Any) -> None:  # noqa: ANN401 - as onnx types them
    kept = [each for each in node.attribute if each.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
