"""Products whose output channels get the means and deviations of the dense model: a batch norm's, were there one.

Pruning moves what normalisations were trained for. They are often folded into the products before them, so that the
product itself is scaled: its weight by channel, which keeps zeros, and its bias.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor, replace_constant
from graphprune.analysis.products import is_convolution
from graphprune.analysis.weights import LinearWeight, WeightUse
from graphprune.calibration.channel_moments import ChannelMoments
from graphprune.graph.nodes import nested_nodes
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import read_bias, shift_bias

_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
_MATRIX = 2

Outputs = Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""Of each sample, what a product gives now and what it gives in the dense model."""


@dataclass(frozen=True)
class Matched:
    """A product by a constant.

    Attributes:
        node: Conv, Gemm or MatMul, with a bias that can be shifted.
        value: The constant.
        axis: That of its output channels.
    """

    node: ir.Node
    value: ir.Value
    axis: int

    @classmethod
    def of(cls, weight: LinearWeight) -> Matched:
        """Take the first product by a weight."""
        return cls(weight.node, weight.value, weight.axes.output)

    def match(self, outputs: Outputs, names: FreshNames) -> float:
        """Scale the weight and shift the bias; return what outputs err by then, see `ChannelMoments.error`."""
        tensor = constant_tensor(self.value)
        assert tensor is not None, "it is a constant"
        array = tensor.numpy()
        moments = ChannelMoments(1 if is_convolution(self.node) else -1, array.shape[self.axis])
        for pair in outputs:
            moments.add(*pair)
        scale, (now, dense) = moments.scale(), moments.means()
        bias = read_bias(self.node, scale.size)
        assert bias is not None, "it can be shifted"
        by_channel = scale.reshape([-1 if axis == self.axis else 1 for axis in range(array.ndim)])
        replace_constant(self.value, (array * by_channel).astype(array.dtype))
        shift_bias(self.node, dense - bias - scale * (now - bias), names)
        return moments.error(scale)


def moved(model: ir.Model, pruned: Collection[ir.Node], names: FreshNames) -> Iterator[Matched]:
    """Yield the other products behind pruned ones, whose inputs have changed, in the order of the sorted graph."""
    behind: set[ir.Node] = set()
    for node in model.graph:
        read = (value for each in (node, *nested_nodes(node)) for value in each.inputs if value is not None)
        if any((made := value.producer()) in pruned or made in behind for value in read):
            behind.add(node)
            if node not in pruned and (found := _unpruned(node, names)) is not None:
                yield found


def _unpruned(node: ir.Node, names: FreshNames) -> Matched | None:
    """A product by a constant that nobody else reads, of float32, which has a bias now; None of another node."""
    if node.domain or node.op_type not in _PRODUCTS or (value := node.inputs[1]) is None:
        return None
    tensor = constant_tensor(value)
    if tensor is None or tensor.shape.rank() < _MATRIX or len(value.uses()) > 1 or value.is_graph_output():
        return None
    axis = WeightUse(node, 1, tuple(range(tensor.shape.rank()))).rows_axis
    return Matched(node, value, axis) if can_shift(node, tensor.shape.numpy()[axis], names) else None


def can_shift(node: ir.Node, channels: int, names: FreshNames) -> bool:
    """Return whether a product of float32 has a bias that can be shifted; it has one then, if of zeros."""
    return node.outputs[0].dtype == ir.DataType.FLOAT and shift_bias(node, np.zeros(channels), names)
