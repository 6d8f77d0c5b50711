"""Integers for floats: operators on them, and nodes between (de)quantizations."""

from __future__ import annotations

import numpy as np

from benchmarks.operators.case import Operand, case, quantized

_SCALE: Operand = 0.02
_OUTPUT_SCALE: Operand = 0.5
_ZERO: Operand = np.uint8(128)
_CENTER: Operand = np.int8(0)
_IMAGE, _WEIGHT = "uint8 1x64x56x56", "=int8 64x64x3x3"
_AROUND = [1, 1, 1, 1]

QUANTIZED = (
    case("QLinearConv", _IMAGE, _SCALE, _ZERO, _WEIGHT, _SCALE, _CENTER, _OUTPUT_SCALE, _ZERO, pads=_AROUND),
    case(
        *("QLinearConv", "uint8 1x128x28x28", _SCALE, _ZERO, "=int8 128x1x3x3", _SCALE, _CENTER, _OUTPUT_SCALE, _ZERO),
        pads=_AROUND,
        group=128,
    ),
    case("ConvInteger", _IMAGE, "=uint8 64x64x3x3", _ZERO, pads=_AROUND),
    case("MatMulInteger", "uint8 128x768", "=int8 768x768", _ZERO),
    case("MatMulInteger", "uint8 12x128x64", "uint8 12x64x128"),
    case("QLinearMatMul", "uint8 128x768", _SCALE, _ZERO, "=int8 768x768", _SCALE, _CENTER, _OUTPUT_SCALE, _ZERO),
    quantized("Conv", _IMAGE, _WEIGHT, "=int32 64", pads=_AROUND),
    quantized("Conv", "uint8 1x256x14x14", "=int8 256x256x1x1", "=int32 256"),
    quantized("MatMul", "uint8 1x128x768", "=int8 768x768"),
    quantized("Add", _IMAGE, _IMAGE),
    quantized("MaxPool", _IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    quantized("AveragePool", _IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    quantized("Sigmoid", _IMAGE),
)
