"""The table of operators this backend lowers: one small function an operator, grouped in files by kind."""

from __future__ import annotations

from graphprune.backends.tvm.lowering import Lower
from graphprune.backends.tvm.operators import convolution, joining, linear, normalization, pooling, products, views
from graphprune.backends.tvm.operators.elementwise import elementwise
from graphprune.backends.tvm.operators.scalar import SCALAR

OPERATORS: dict[str, Lower] = {
    **dict.fromkeys(SCALAR, elementwise),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), views.reshape),
    **dict.fromkeys(("Identity", "Dropout"), views.identity),
    "Transpose": views.transpose,
    "Expand": views.expand,
    "Slice": views.slice_,
    "Split": views.split,
    "Conv": convolution.convolution,
    "PackedConv": convolution.packed_convolution,
    "Concat": joining.concat,
    "Gather": joining.gather,
    "GatherND": joining.gather_nd,
    "MaxPool": pooling.max_pool,
    "AveragePool": pooling.average_pool,
    **dict.fromkeys(("Softmax", "LogSoftmax"), normalization.lower_softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), normalization.lower_layer_normalization),
    "InstanceNormalization": normalization.lower_instance_normalization,
    **dict.fromkeys(normalization.REDUCTIONS, normalization.lower_reduction),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), normalization.lower_global_pool),
    "MatMul": products.matmul,
    "PackedMatMul": linear.packed_matmul,
    "Gemm": linear.gemm,
    "PackedGemm": linear.packed_gemm,
}

ANCHORS = (
    *("Conv", "PackedConv", "MatMul", "PackedMatMul", "Gemm", "PackedGemm", "MaxPool", "AveragePool"),
    *("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "InstanceNormalization"),
)
"""Operators besides the element-wise ones whose kernels take an epilogue."""
