"""The table of operators this backend lowers: one small function an operator, grouped in files by kind.

Imports: analysis, backends.tvm.building, backends.tvm.kernels, backends.tvm.lowering, backends.tvm.program, errors,
graph, layouts, packed, passes.
"""

from __future__ import annotations

from graphprune.analysis.products import RECURRENT
from graphprune.backends.tvm.lowering.graph import Lower
from graphprune.backends.tvm.operators import (
    convolution,
    einsum,
    filling,
    images,
    integers,
    joining,
    linear,
    normalization,
    pooling,
    products,
    recurrent,
    scattering,
    te_windows,
    views,
)
from graphprune.backends.tvm.operators.computed_convolution import computed_convolution
from graphprune.backends.tvm.operators.elementwise import elementwise
from graphprune.backends.tvm.operators.generic import (
    GENERIC,
    either,
    is_fast_convolution,
    is_fast_pooling,
    is_plane_convolution,
)
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.te import lower_with
from graphprune.packed.forms import CALLS

OPERATORS: dict[str, Lower] = {
    **dict.fromkeys(SCALAR, elementwise),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), views.reshape),
    **dict.fromkeys(("Identity", "Dropout"), views.identity),
    "Transpose": views.transpose,
    "Expand": views.expand,
    "Slice": views.slice_,
    "Split": views.split,
    **GENERIC,
    "Resize": images.resize,
    "GridSample": images.grid_sample,
    "Conv": either(
        convolution.convolution,
        is_fast_convolution,
        either(computed_convolution, is_plane_convolution, lower_with(te_windows.convolution)),
    ),
    **dict.fromkeys(("PackedConv", "PackedNmConv"), convolution.packed_convolution),
    "ConvInteger": integers.convolution,
    "MatMulInteger": integers.matmul,
    "Concat": joining.concat,
    "Gather": joining.gather,
    "GatherND": joining.gather_nd,
    "GatherElements": scattering.gather_elements,
    "ScatterElements": scattering.scatter_elements,
    "ScatterND": scattering.scatter_nd,
    "TensorScatter": scattering.tensor_scatter,
    "MaxUnpool": scattering.max_unpool,
    **dict.fromkeys(("CumSum", "CumProd"), scattering.scan),
    "TopK": scattering.top,
    "Pad": filling.pad,
    "Tile": filling.tile,
    "MaxPool": either(pooling.max_pool, is_fast_pooling, lower_with(te_windows.max_pool)),
    "AveragePool": either(pooling.average_pool, is_fast_pooling, lower_with(te_windows.average_pool)),
    **dict.fromkeys(("Softmax", "LogSoftmax"), normalization.lower_softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), normalization.lower_layer_normalization),
    "InstanceNormalization": normalization.lower_instance_normalization,
    **dict.fromkeys(normalization.REDUCTIONS, normalization.lower_reduction),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), normalization.lower_global_pool),
    **dict.fromkeys(("ArgMax", "ArgMin"), normalization.lower_extremum),
    "MatMul": products.matmul,
    "Einsum": einsum.einsum,
    **dict.fromkeys(("PackedMatMul", "PackedNmMatMul"), linear.packed_matmul),
    "Gemm": linear.gemm,
    **dict.fromkeys(RECURRENT, recurrent.lower_recurrent),
    **dict.fromkeys(("PackedGemm", "PackedNmGemm"), linear.packed_gemm),
}

ANCHORS = (
    *("Conv", "ConvInteger", "MatMul", "MatMulInteger", "Gemm", "MaxPool", "AveragePool", *CALLS),
    *("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "InstanceNormalization"),
)
"""Operators besides the element-wise ones whose kernels take an epilogue."""
