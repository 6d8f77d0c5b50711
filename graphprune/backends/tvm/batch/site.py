"""The batch axis of a value, and the node at which a rule is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.backends.tvm.lowering.graph import constant_array, is_constant, static_shape
from graphprune.backends.tvm.operators.views import constant_ints

Array = npt.NDArray[Any]


class BatchAxis(NamedTuple):
    """Where samples lie in a value: along `axis`, in order, `inner` neighbouring elements each."""

    axis: int
    inner: int = 1


class MixedSamplesError(Exception):
    """A node does not treat samples independently, or cannot be shown to."""


@dataclass(frozen=True)
class Site:
    """A node, the batch axes of the values before it, and constants that it needs a sample's part of.

    Rules write `parts`: by input index, what to replace a constant by that repeats itself for each sample; and
    `others`: by output index, the batch axis of an output that has another one than the first.
    """

    node: ir.Node
    axes: Mapping[ir.Value, BatchAxis]
    samples: int
    parts: dict[int, Array] = field(default_factory=dict)
    others: dict[int, BatchAxis] = field(default_factory=dict)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return static_shape(self.node.outputs[0])

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of an input."""
        value = self.node.inputs[index]
        assert value is not None
        return static_shape(value)

    def given(self) -> list[int]:
        """The inputs that are there."""
        return [index for index, value in enumerate(self.node.inputs) if value is not None]

    def batched(self) -> dict[int, BatchAxis]:
        """The inputs that differ between samples, and how."""
        values = ((index, self.node.inputs[index]) for index in self.given())
        return {index: self.axes[value] for index, value in values if value is not None and value in self.axes}

    def ints(self, index: int) -> list[int] | None:
        """A constant input of integers, None if it is not there."""
        return constant_ints(self.node, index)

    def constant(self, index: int) -> Array:
        """An input that must be constant."""
        value = self.node.inputs[index]
        if value is None or not is_constant(value):
            raise MixedSamplesError(f"input {index} has an extent of the batch, and is no constant")
        return constant_array(value)

    def attribute_axis(self, default: int) -> int:
        """The attribute `axis`, counted from the front in the first input."""
        rank = len(self.shape(0))
        return self.node.attributes.get_int("axis", default) % max(rank, 1)

    def only(self) -> BatchAxis:
        """The batch axis of the first input, which must be the only one that differs between samples."""
        batched = self.batched()
        if list(batched) != [0]:
            raise MixedSamplesError(f"inputs {sorted(batched)} differ between samples")
        return batched[0]

    def aligned(self, indices: Sequence[int], rank: int) -> BatchAxis:
        """The batch axis of a result of this rank that these inputs are broadcast to."""
        found = {
            BatchAxis(axis + rank - len(self.shape(index)), inner)
            for index, (axis, inner) in self.batched().items()
            if index in indices
        }
        if len(found) != 1:
            raise MixedSamplesError("inputs hold the samples along different axes")
        (result,) = found
        for index in indices:
            position = result.axis - (rank - len(self.shape(index)))
            if index not in self.batched() and position >= 0 and self.shape(index)[position] != 1:
                self.take_part(index, BatchAxis(position, result.inner))
        return result

    def take_part(self, index: int, where: BatchAxis) -> None:
        """Let the node read a sample's part of a constant, which must be the same for all samples."""
        array = np.moveaxis(self.constant(index), where.axis, 0)
        parts = array.reshape(self.samples, where.inner, *array.shape[1:])
        if not (parts == parts[:1]).all():
            raise MixedSamplesError(f"input {index}, a constant, differs between samples")
        self.parts[index] = np.moveaxis(parts[0], 0, where.axis)
