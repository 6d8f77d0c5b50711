"""Matrix products with a constant weight, dense or packed in any layout: MatMul and Gemm.

The input is taken channel-major, `[K][positions]`, where positions are all leading axes merged, and the output is
written channel-major too. A product then is a 1x1 convolution, and the whole of a transformer stays in one layout.
Where the kernel for N:M patterns is chosen, rows are taken as they lie instead.
"""

from __future__ import annotations

import numpy as np

from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.view import View, merged_stride
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, static_shape
from graphprune.backends.tvm.lowering.layout import channel_major
from graphprune.backends.tvm.operators.nm import lower_nm
from graphprune.backends.tvm.operators.planes import lower_positions
from graphprune.backends.tvm.operators.region import plane_epilogue
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.weights import Weight, dense_weight, packed_weight
from graphprune.packed.calls import extra_index


def matmul(lowering: Lowering, group: Group) -> None:
    """MatMul whose right operand is a constant matrix."""
    weight = constant_array(input_value(group.anchor, 1)).astype(np.float32, copy=False)
    view = lowering.view(input_value(group.anchor, 0))
    lower_linear(lowering, group, view, dense_weight(weight.T[:, :, None]))


def packed_matmul(lowering: Lowering, group: Group) -> None:
    """A packed MatMul."""
    lower_linear(lowering, group, lowering.view(input_value(group.anchor, 0)), packed_weight(group.anchor))


def gemm(lowering: Lowering, group: Group) -> None:
    """Gemm whose B is constant; alpha and beta go into the weight and the bias."""
    node = group.anchor
    view = lowering.view(input_value(node, 0))
    if node.attributes.get_int("transA", 0):
        view = view.transpose((1, 0))
    weight = constant_array(input_value(node, 1))
    weight = weight if node.attributes.get_int("transB", 0) else weight.T
    alpha = np.float32(node.attributes.get_float("alpha", 1.0))
    lower_linear(lowering, group, view, dense_weight(alpha * weight[:, :, None]), _gemm_bias(lowering, group, 2))


def packed_gemm(lowering: Lowering, group: Group) -> None:
    """A packed Gemm."""
    view = lowering.view(input_value(group.anchor, 0))
    alpha = float(group.anchor.attributes.get_float("alpha", 1.0))
    weight = packed_weight(group.anchor).scaled(alpha)
    lower_linear(lowering, group, view, weight, _gemm_bias(lowering, group, extra_index(group.anchor)))


def _gemm_bias(lowering: Lowering, group: Group, index: int) -> View | None:
    """Beta times C, which must be constant unless beta is 1, as a view of the product's shape."""
    node = group.anchor
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None:
        return None
    beta = float(node.attributes.get_float("beta", 1.0))
    view = lowering.view(value) if beta == 1.0 else lowering.constant(np.float32(beta) * constant_array(value))
    return view.broadcast(static_shape(node.outputs[0]))


def lower_linear(lowering: Lowering, group: Group, x: View, weight: Weight, bias: View | None = None) -> None:
    """Lower the product of `x` [..., K] with a weight of one tap."""
    if group.anchor in lowering.nm_weights:
        lower_nm(lowering, group, x, lowering.nm_weights[group.anchor], bias)
        return
    shape = static_shape(group.output)
    rank = len(x.shape)
    position = merged_stride(x.shape[:-1], x.strides[:-1])
    if position is None:
        x = lowering.dense(x, channel_major(rank))
        position = 1
    positions = int(np.prod(x.shape[:-1]))
    planes = Planes(x.size, x.shape[-1], 0, x.strides[-1], position, x.offset)
    axes = ((), (len(shape) - 1,), tuple(range(len(shape) - 1)))
    fused = plane_epilogue(lowering, group, axes, bias)
    buffer = lower_positions(lowering, planes, 1, weight, positions, x, fused)
    lowering.define(group.output, View.dense(buffer, fused.dtype, shape, channel_major(len(shape))))
