"""Element-wise operators: alone, of one feature map, with broadcasting, and of other types."""

from __future__ import annotations

import numpy as np
import onnx

from benchmarks.operators.case import Case, Operand, case

_MAP = "1x64x56x56"
_POSITIVE = f"{_MAP} <1"
_FUNCTIONS = (
    *("Abs", "Atan", "Asinh", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish"),
    *("IsInf", "IsNaN", "LeakyRelu", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign"),
    *("Sin", "Sinh", "Cosh", "Softplus", "Softsign", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
)
_OF_POSITIVE = ("Acos", "Asin", "Atanh", "Log", "Sqrt")
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_LOGIC = ("And", "Or", "Xor")
_BITS = ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
_HALVES = ("Add", "Mul", "Relu", "Sigmoid", "Tanh", "Gelu", "Exp")


def _half(operator: str) -> Case:
    takes_two = onnx.defs.get_schema(operator).min_input == 2  # noqa: PLR2004
    return case(operator, *[f"float16 {_MAP}"] * (2 if takes_two else 1))


_SCALAR: Operand = 2.0

ELEMENTWISE = (
    *(case(name, _MAP) for name in _FUNCTIONS),
    *(case(name, _POSITIVE) for name in _OF_POSITIVE),
    case("Acosh", f"{_MAP} <9"),
    *(case(name, _MAP, _MAP) for name in ("Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")),
    *(case(name, "1x128x768", "=768") for name in ("Add", "Mul")),
    case("Add", _MAP, "1x64x1x1"),
    case("Mul", "1x256x28x28", "1x256x1x1"),
    case("Add", "1x12x128x128", "1x1x1x128"),
    case("Add", "128x1x64", "1x128x64"),
    case("Add", "1x1", "1x1"),
    case("Add", "uint8 1x64x56x56", "uint8 1x64x56x56"),
    case("Mul", "int64 1x128", "int64 1x128"),
    case("Add", "float64 1x64x56x56", "float64 1x64x56x56"),
    *map(_half, _HALVES),
    *(case(name, _MAP, _MAP) for name in _COMPARISONS),
    case("Equal", "int64 1x128x128", "int64 1x128x128"),
    *(case(name, f"bool {_MAP}", f"bool {_MAP}") for name in _LOGIC),
    *(case(name, f"uint8 {_MAP}", f"uint8 {_MAP}") for name in _BITS),
    case("Not", f"bool {_MAP}"),
    case("BitwiseNot", f"uint8 {_MAP}"),
    case("BitShift", f"uint8 {_MAP}", f"uint8 {_MAP} <8", direction="LEFT"),
    case("BitCast", _MAP, to=onnx.TensorProto.INT32),
    case("Mod", "int64 1x128x128", 7),
    case("Mod", _MAP, _MAP, fmod=1),
    case("Pow", _POSITIVE, _SCALAR),
    case("Pow", _POSITIVE, "=1 <1"),
    case("Pow", _POSITIVE, _POSITIVE),
    case("PRelu", _MAP, "=64x1x1"),
    case("Clip", _MAP, 0.0, 6.0),
    case("Cast", _MAP, to=onnx.TensorProto.FLOAT16),
    case("Cast", f"float16 {_MAP}", to=onnx.TensorProto.FLOAT),
    case("Cast", f"uint8 {_MAP}", to=onnx.TensorProto.FLOAT),
    case("Cast", "int64 1x128", to=onnx.TensorProto.FLOAT),
    case("Cast", _MAP, to=onnx.TensorProto.BOOL),
    case("CastLike", f"uint8 {_MAP}", "=1"),
    case("QuantizeLinear", _MAP, _SCALAR, np.uint8(3)),
    case("QuantizeLinear", _MAP, "=64 <1", "=int8 64", axis=1),
    case("DequantizeLinear", f"uint8 {_MAP}", _SCALAR, np.uint8(3)),
    case("DequantizeLinear", "int8 768x768", "=768 <1", "=int8 768", axis=1),
    case("DynamicQuantizeLinear", "1x128x768", outputs=3),
)
