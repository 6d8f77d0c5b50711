"""One small graph for each use of an operator of ONNX Runtime on quantized integers that has a rewrite."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

from tests.passes.contrib_case import Case, integers, scales, zeros

_BINARY = (
    "(uint8[2,3,4] a, uint8[{}] b) => (uint8[2,3,4] y) {{ y = com.microsoft.QLinear{} (a, as, az, b, bs, bz, ys, yz) }}"
)
_BINARY_PARTS = {**scales(**{"as": 0.02, "bs": 0.03, "ys": 0.05}), **zeros(az=3, bz=128, yz=100)}
_BYTES = {"a": integers(2, 3, 4, below=256, dtype="uint8"), "b": integers(2, 3, 4, below=256, dtype="uint8")}
_QGEMM: Mapping[str, Mapping[str, np.ndarray]] = {
    "plain": {"b": integers(4, 5, below=256, dtype="uint8"), **scales(bs=0.03), **zeros(bz=128)},
    "bias": {
        "b": integers(5, 4, below=127, least=-128, dtype="int8"),
        "bs": np.array([0.01, 0.02, 0.03, 0.04, 0.05], np.float32),
        "bz": np.zeros(5, np.int8),
        "c": integers(5, below=900, least=-900),
    },
    "float": {
        "b": integers(4, 5, below=256, dtype="uint8"),
        **scales(bs=0.03),
        **zeros(bz=7),
        "c": integers(3, 5, below=90, least=-90),
    },
}
_EMBED_FEED = {"i": integers(2, 5, below=11), "t": integers(2, 5, below=2), "m": integers(2, 5, below=2)}

_DYNAMIC = "(float[2,3,8] x) => (float[2,3,5] y) {{ y = com.microsoft.DynamicQuantizeMatMul (x, w, s, {}) }}"
_DYNAMIC_PARTS = {**scales(s=0.02), "w": integers(8, 5, least=-128, below=128, dtype="int8")}
_INTEGERS = "(uint8[3,8] x) => (float[3,5] y) {{ y = com.microsoft.MatMulIntegerToFloat (x, w, as, s, {}) }}"
_INTEGER_PARTS = {**_DYNAMIC_PARTS, **scales(**{"as": 0.05})}
_ROWS = integers(3, 8, below=256, dtype="uint8")
_LSTM = """(float[4,1,5] x) => (float[4,d,1,3] y, float[d,1,3] yh, float[d,1,3] yc) {{
    y, yh, yc = com.microsoft.DynamicQuantizeLSTM {} (x, w, r, {}, , {}, ws, wz, rs, rz) }}"""


def _lstm_parts(directions: int, *, columns: bool = False) -> dict[str, np.ndarray | tuple[int, ...]]:
    """Weights as integers, with a scale and zero point each, or one for each column."""
    each = (directions, 12) if columns else (directions,)
    steps = {name: np.full(each, step, "f") for name, step in (("ws", 0.02), ("rs", 0.01))}
    places = {name: np.full(each, place, "int8") for name, place in (("wz", 3), ("rz", -2))}
    if columns:
        steps["ws"] = np.linspace(0.01, 0.03, 12, dtype="f")[None]
        places = {name: np.zeros(each, "int8") for name in places}
    weights = {
        name: integers(directions, n, 12, least=-128, below=128, dtype="int8") for name, n in (("w", 5), ("r", 3))
    }
    return {**steps, **places, **weights}


QUANTIZED: dict[str, Case] = {
    "add": Case(_BINARY.format("2,3,4", "Add"), _BINARY_PARTS, _BYTES),
    "mul": Case(_BINARY.format("4", "Mul"), _BINARY_PARTS, {**_BYTES, "b": integers(4, below=256, dtype="uint8")}),
    "sigmoid": Case(
        "(int8[2,9] x) => (int8[2,9] y) { y = com.microsoft.QLinearSigmoid (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=1 / 256), **zeros("int8", xz=5, yz=-128)},
        {"x": integers(2, 9, below=127, least=-128, dtype="int8")},
    ),
    "leaky": Case(
        "(int8[2,9] x) => (int8[2,9] y) { y = com.microsoft.QLinearLeakyRelu <alpha = 0.3> (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=0.07), **zeros("int8", xz=5, yz=-9)},
        {"x": integers(2, 9, below=127, least=-128, dtype="int8")},
    ),
    "pool": Case(
        "(uint8[2,3,4,4] x) => (uint8[2,3,1,1] y) { y = com.microsoft.QLinearGlobalAveragePool (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=0.04), **zeros(xz=7, yz=9)},
        {"x": integers(2, 3, 4, 4, below=256, dtype="uint8")},
    ),
    "pool-last": Case(
        "(uint8[2,4,4,3] x) => (uint8[2,1,1,3] y) {"
        " y = com.microsoft.QLinearGlobalAveragePool <channels_last = 1> (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=0.04), **zeros(xz=7, yz=9)},
        {"x": integers(2, 4, 4, 3, below=256, dtype="uint8")},
    ),
    "concat": Case(
        "(uint8[2,3,4] a, uint8[2,3,4] b) => (uint8[2,6,4] y) {"
        " y = com.microsoft.QLinearConcat <axis = 1> (ys, yz, a, as, az, b, bs, bz) }",
        _BINARY_PARTS,
        _BYTES,
    ),
    **{
        f"qgemm-{name}": Case(
            f"(uint8[{a}] a) => ({y}[3,5] y) {{ y = com.microsoft.QGemm <{with_}> (a, as, az, b, bs, bz, {more}) }}",
            {**scales(**{"as": 0.02, "ys": 0.05}), **zeros(az=3, yz=100), **_QGEMM[name]},
            {"a": integers(*map(int, a.split(",")), below=256, dtype="uint8")},
        )
        for name, (a, y, with_, more) in {
            "plain": ("3,4", "uint8", "alpha = 0.5", ", ys, yz"),
            "bias": ("4,3", "uint8", "transA = 1, transB = 1", "c, ys, yz"),
            "float": ("3,4", "float", "alpha = 2.0", "c"),
        }.items()
    },
    **{
        f"softmax-{opset}": Case(
            "(int8[2,3,7] x) => (int8[2,3,7] y) {"
            f" y = com.microsoft.QLinearSoftmax <axis = 1, opset = {opset}> (x, xs, xz, ys, yz) }}",
            {**scales(xs=0.05, ys=1 / 256), **zeros("int8", xz=5, yz=-128)},
            {"x": integers(2, 3, 7, below=127, least=-128, dtype="int8")},
        )
        for opset in (12, 13)
    },
    "dequantize": Case(
        "(uint8[2,3] x) => (float[2,3] y) { y = com.microsoft.DequantizeLinear <axis = 1> (x, xs, xz) }",
        {"xs": np.array([0.1, 0.2, 0.3], np.float32), "xz": np.array([1, 2, 3], np.uint8)},
        {"x": integers(2, 3, below=256, dtype="uint8")},
    ),
    "quantize": Case(
        "(float[2,3] x) => (int8[2,3] y) { y = com.microsoft.QuantizeLinear (x, xs, xz) }",
        {**scales(xs=0.1), **zeros("int8", xz=4)},
    ),
    "quantize-plain": Case(
        "(float[2,3] x) => (uint8[2,3] y) { y = com.microsoft.QuantizeLinear (x, xs) }", scales(xs=0.1)
    ),
    "dequantize-sums": Case(
        "(int32[2,3] x) => (float[2,3] y) { y = com.microsoft.DequantizeLinear (x, xs, xz) }",
        {**scales(xs=0.1), **zeros("int32", xz=0)},
        {"x": integers(2, 3, below=10**6)},
    ),
    **{
        f"words-{dtype}-{count}": Case(
            "(float[2,3] x) => (float[2,3] y) {"
            " q = com.microsoft.QuantizeLinear <axis = 1> (x, xs, xz)"
            " y = com.microsoft.DequantizeLinear <axis = 1> (q, xs, xz) }",
            {"xs": np.full(shape, 3e-5, "f"), "xz": np.full(shape, 900, dtype)},
        )
        for dtype in ("int16", "uint16")
        for count, shape in (("all", ()), ("one", (1,)), ("each", (3,)))
    },
    **{
        f"nibbles-{dtype}": Case(
            "(float[2,3] x) => (float[2,3] a, float[2,3] b) {"
            " q = com.microsoft.QuantizeLinear (x, xs, xz)"
            " a = com.microsoft.DequantizeLinear (q, xs, xz)"
            " b = com.microsoft.DequantizeLinear <axis = 0> (w, ws, wz) }",
            {
                **scales(xs=0.15),
                "xz": np.array(3, dtype),
                "w": integers(2, 3, below=7).astype(dtype),
                "ws": np.array([0.1, 0.2], "f"),
                "wz": np.array([1, 0], dtype),
            },
        )
        for dtype in (ml_dtypes.int4, ml_dtypes.uint4)
    },
    "average-pool": Case(
        "(uint8[2,3,5,5] x) => (uint8[2,3,3,3] y) { y = com.microsoft.QLinearAveragePool"
        " <kernel_shape = [2,2], strides = [2,2], pads = [0,0,1,1], count_include_pad = 1> (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=0.041), **zeros(xz=7, yz=9)},
        {"x": integers(2, 3, 5, 5, below=256, dtype="uint8")},
    ),
    "average-pool-last": Case(
        "(uint8[2,5,4,3] x) => (uint8[2,4,3,3] y) { y = com.microsoft.QLinearAveragePool"
        " <kernel_shape = [2,2], channels_last = 1> (x, xs, xz, ys, yz) }",
        {**scales(xs=0.05, ys=0.041), **zeros(xz=7, yz=9)},
        {"x": integers(2, 5, 4, 3, below=256, dtype="uint8")},
    ),
    "where": Case(
        "(bool[2,3,1] c, uint8[2,3,4] a, uint8[4] b) => (uint8[2,3,4] y) {"
        " y = com.microsoft.QLinearWhere (c, a, as, az, b, bs, bz, ys, yz) }",
        _BINARY_PARTS,
        {"a": _BYTES["a"], "b": integers(4, below=256, dtype="uint8"), "c": integers(2, 3, 1, below=2, dtype="bool")},
    ),
    **{
        f"convolution-{last}": Case(
            f"(uint8[{x}] x) => (uint8[{y}] y) {{ y = com.microsoft.QLinearConv"
            f" <pads = [1,1,0,0], channels_last = {last}> (x, xs, xz, w, ws, wz, ys, yz, b) }}",
            {
                **scales(xs=0.02, ys=0.05),
                **zeros(xz=7, yz=90),
                "w": integers(4, 3, 2, 2, below=256, dtype="uint8"),
                "ws": np.linspace(0.01, 0.03, 4, dtype="f"),
                "wz": np.full(4, 128, "uint8"),
                "b": integers(4, below=900, least=-900),
            },
            {"x": integers(*map(int, x.split(",")), below=256, dtype="uint8")},
        )
        for last, x, y in ((0, "1,3,5,4", "1,4,5,4"), (1, "1,5,4,3", "1,5,4,4"))
    },
    **{
        f"bits-{bits}-{form}": Case(
            "(float[2,3,40] x) => (float[2,3,5] y) { y = com.microsoft.MatMulNBits"
            f" <K = 40, N = 5, bits = {bits}, block_size = 16> (x, w, s{inputs}) }}",
            {
                "w": integers(5, 3, 2 * bits, below=256, dtype="uint8"),
                "s": (15,) if form == "plain" else (5, 3),
                "z": integers(5, -(-3 * bits // 8), below=256, dtype="uint8"),
                "p": (5, 3),
                "b": (5,),
            },
        )
        for bits in (2, 4, 8)
        for form, inputs in (("plain", ""), ("points", ", z, , b"), ("floats", ", p"))
        if (bits, form) != (8, "floats")  # which ONNX Runtime does not have
    },
    **{
        f"table-{name}": Case(
            "(int64[2,3] i) => (float[2,3,40] y) { y = com.microsoft.GatherBlockQuantized"
            f" <bits = {bits}, block_size = 16> (t, i, s{more}) }}",
            {"t": table, "s": (7, 3), "z": points},
            {"i": integers(2, 3, below=7, dtype="int64")},
        )
        for name, bits, more, (table, points) in (
            ("int4", 4, "", (integers(7, 40, below=8, least=-8).astype(ml_dtypes.int4), np.zeros(1, "f"))),
            (
                "uint4",
                4,
                ", z",
                (integers(7, 40, below=16).astype(ml_dtypes.uint4), integers(7, 3, below=16).astype(ml_dtypes.uint4)),
            ),
            ("packed", 4, ", z", (integers(7, 20, below=256, dtype="uint8"), integers(7, 2, below=256, dtype="uint8"))),
            ("bytes", 8, "", (integers(7, 40, below=256, dtype="uint8"), np.zeros(1, "f"))),
        )
    },
    **{
        f"attention-bytes-{name}": Case(
            f"(uint8[2,5,8] x{given}) => (float[2,5,8] y) {{ y = com.microsoft.QAttention"
            f" <num_heads = 2, unidirectional = {causal}> (x, w, b, xs, ws{more}) }}",
            {
                **scales(xs=0.02, ws=0.01),
                **zeros(xz=120, wz=130),
                "w": integers(8, 24, below=256, dtype="uint8"),
                "b": (24,),
            },
            {"x": integers(2, 5, 8, below=256, dtype="uint8"), "m": integers(2, 5, below=2)},
        )
        for name, given, causal, more in (("mask", ", int32[2,5] m", 0, ", m, xz, wz"), ("causal", "", 1, ", , xz, wz"))
    },
    **{
        f"embed-bytes-{name}": Case(
            f"(int32[2,5] i{given}) => (float[2,5,8] y, int32[2] n) {{"
            " y, n = com.microsoft.QEmbedLayerNormalization"
            f" (i, {kinds}, words, places, {table}, g, b, {mask}, {steps}) }}",
            {
                "words": integers(11, 8, below=256, dtype="uint8"),
                "places": integers(9, 8, below=256, dtype="uint8"),
                "kinds": integers(2, 8, below=256, dtype="uint8"),
                "g": integers(8, below=256, dtype="uint8"),
                "b": integers(8, below=256, dtype="uint8"),
                **scales(s0=0.02, s1=0.03, s2=0.01, s3=0.01, s4=0.02),
                **zeros(z0=120, z1=130, z2=128, z3=3, z4=128),
            },
            _EMBED_FEED,
        )
        for name, given, kinds, table, mask, steps in (
            ("whole", ", int32[2,5] t, int32[2,5] m", "t", "kinds", "m", "s0, s1, s2, s3, s4, z0, z1, z2, z3, z4"),
            ("plain", "", "", "", "", "s0, s1, , s3, s4, z0, z1, , z3, z4"),
        )
    },
    "dynamic-product": Case(_DYNAMIC.format("z, b"), {**_DYNAMIC_PARTS, "b": (5,), **zeros("int8", z=3)}),
    "dynamic-product-plain": Case(_DYNAMIC.format(", "), _DYNAMIC_PARTS),
    "dynamic-product-columns": Case(
        _DYNAMIC.format("z, b"),
        {**_DYNAMIC_PARTS, "b": (5,), "s": np.linspace(0.01, 0.03, 5, dtype="f"), "z": np.arange(5, dtype="int8")},
    ),
    "integer-product": Case(
        _INTEGERS.format("az, z, b"),
        {**_INTEGER_PARTS, "b": (5,), **zeros(az=100), **zeros("int8", z=-2)},
        {"x": _ROWS},
    ),
    "integer-product-plain": Case(_INTEGERS.format(", , "), _INTEGER_PARTS, {"x": _ROWS}),
    "lstm": Case(_LSTM.format("<hidden_size = 3>", "", ", , "), _lstm_parts(1)),
    "lstm-both": Case(_LSTM.format('<direction = "bidirectional", hidden_size = 3>', "", ", , "), _lstm_parts(2)),
    "lstm-reverse": Case(
        _LSTM.format('<direction = "reverse", hidden_size = 3, input_forget = 1>', "b", "h, c, p"),
        {**_lstm_parts(1), "b": (1, 24), "h": (1, 1, 3), "c": (1, 1, 3), "p": (1, 9)},
    ),
    "lstm-columns": Case(
        _LSTM.format("<hidden_size = 3>", "b", ", , "), {**_lstm_parts(1, columns=True), "b": (1, 24)}
    ),
}
