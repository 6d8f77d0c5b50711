"""Reductions over each kind of axis, normalisations, softmax, and losses."""

from __future__ import annotations

from benchmarks.operators.case import Case, case

_REDUCTIONS = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceMin", "ReduceProd", "ReduceSumSquare")


def _everywhere(operator: str) -> tuple[Case, ...]:
    """Over the last axis, the first, the spatial ones, one between, all, and axes apart from each other."""
    return (
        case(operator, "1x128x768", [-1]),
        case(operator, "256x1024", [0]),
        case(operator, "1x512x14x14", [2, 3]),
        case(operator, "1x64x56x56", [1]),
        case(operator, "1x64x56x56", [0, 1, 2, 3], keepdims=0),
        case(operator, "8x64x28x28", [0, 2, 3]),
        case(operator, "1x64x56x56", [1, 3]),
        case(operator, "1000x3", [1]),
    )


REDUCING = (
    *_everywhere("ReduceMean"),
    *_everywhere("ReduceMax"),
    *(case(name, "1x128x768 <1", [-1]) for name in _REDUCTIONS),
    *(case(name, "1x64x56x56 <1", [1]) for name in _REDUCTIONS),
    case("ReduceSum", "1x8400x80", [2]),
    case("ReduceSum", "int64 1x128", [1]),
    case("ReduceSum", "int32 256x256", [0]),
    case("ReduceSum", "float64 256x1024", [1]),
    case("ReduceSum", "float16 1x128x768", [-1]),
    case("ReduceMax", "uint8 1x64x56x56", [1]),
    case("ReduceMax", "int8 1x64x56x56", [2, 3]),
    case("ReduceL2", "1x512x196", [1]),
    case("ReduceL2", "float16 1x128x768", [-1]),
    case("ArgMax", "1x1000", axis=1),
    case("ArgMax", "1x21x256x256", axis=1),
    case("ArgMax", "1x8400x80", axis=2),
    case("ArgMax", "1x128x30522", axis=-1, keepdims=0),
    case("ArgMax", "uint8 1x21x128x128", axis=1),
    case("ArgMin", "1024x512", axis=1),
    case("Softmax", "1x1000", axis=-1),
    case("Softmax", "1x12x128x128", axis=-1),
    case("Softmax", "1x21x128x128", axis=1),
    case("Softmax", "float16 1x12x128x128", axis=-1),
    case("LogSoftmax", "1x128x30522", axis=-1),
    case("Hardmax", "1x128x1000", axis=-1),
    case("LayerNormalization", "1x128x768", "=768", "=768"),
    case("LayerNormalization", "float16 1x128x768", "=float16 768", "=float16 768"),
    case("RMSNormalization", "1x128x2048", "=2048"),
    case("InstanceNormalization", "1x64x128x128", "=64", "=64"),
    case("InstanceNormalization", "1x256x1000", "=256", "=256"),
    case("GroupNormalization", "1x256x32x32", "=256", "=256", num_groups=32),
    case("BatchNormalization", "1x64x56x56", "=64", "=64", "=64", "=64 <1"),
    case("MeanVarianceNormalization", "1x64x56x56", axes=[0, 2, 3]),
    case("LpNormalization", "1x512", axis=1),
    case("LpNormalization", "1x256x28x28", axis=1),
    case("LRN", "1x96x55x55", size=5),
    case("SoftmaxCrossEntropyLoss", "32x1000", "int64 32 <1000"),
    case("NegativeLogLikelihoodLoss", "32x1000", "int64 32 <1000"),
)
