"""One small graph for each use of an operator of ONNX Runtime that has a rewrite."""

from __future__ import annotations

import numpy as np

from tests.passes.contrib_case import Case, integers
from tests.passes.contrib_quantized_cases import QUANTIZED

_CONV = "(float[2,3,6,6] x) => (float[2,4,6,6] y) {{ y = com.microsoft.FusedConv <pads = [1,1,1,1]{}> (x, w, b) }}"
_CONV_PARTS = {"w": (4, 3, 3, 3), "b": (4,)}
_PRODUCT = "(float[{}] a, float[{}] b) => (float[{}] y) {{ y = com.microsoft.FusedMatMul <{}> (a, b) }}"
_SKIP = (
    "(float[2,5,8] x, float[{}] s) => (float[2,5,8] y) {{ y = com.microsoft.Skip{}LayerNormalization{} (x, s, {}) }}"
)
_ATTENTION = "(float[2,5,8] x{}) => (float[2,5,8] y) {{ y = com.microsoft.Attention <num_heads = 2{}> (x, w, b{}) }}"
_ATTENTION_PARTS = {"w": (8, 24), "b": (24,)}
_HEADS = "(float[2,3,8] q, float[2,5,8] k, float[2,5,4] v{}) => (float[2,3,4] y) {{ y = com.microsoft.MultiHeadAttention <num_heads = 2{}> (q, k, v{}) }}"  # noqa: E501
_ROTARY = "(float[{}] x, int64[{}] p) => (float[{}] y) {{ y = com.microsoft.RotaryEmbedding <{}> (x, p, c, s) }}"
_EMBED = {"words": (11, 8), "places": (9, 8), "kinds": (2, 8), "g": (8,), "b": (8,)}
_EMBED_FEED = {"i": integers(2, 5, below=11), "t": integers(2, 5, below=2), "m": integers(2, 5, below=2)}

FLOATS: dict[str, Case] = {
    "conv": Case(_CONV.format(', activation = "Relu"'), _CONV_PARTS),
    "conv-leaky": Case(_CONV.format(', activation = "LeakyRelu", activation_params = [0.3]'), _CONV_PARTS),
    "conv-clip": Case(_CONV.format(', activation = "Clip", activation_params = [-0.5, 0.7]'), _CONV_PARTS),
    "conv-hard": Case(_CONV.format(', activation = "HardSigmoid", activation_params = [0.3, 0.4]'), _CONV_PARTS),
    "conv-tanh": Case(_CONV.format(', activation = "Tanh"'), _CONV_PARTS),
    "conv-sum": Case(
        "(float[2,4,5,5] x, float[2,4,5,5] z) => (float[2,4,5,5] y) {"
        ' y = com.microsoft.FusedConv <group = 2, activation = "Relu"> (x, w, , z) }',
        {"w": (4, 2, 1, 1)},
    ),
    "gemm": Case(
        "(float[3,4] x) => (float[3,5] y) { y = com.microsoft.FusedGemm"
        ' <activation = "LeakyRelu", activation_alpha = 0.25, alpha = 0.5, beta = 2.0, transB = 1> (x, w, b) }',
        {"w": (5, 4), "b": (5,)},
    ),
    "gemm-sigmoid": Case(
        '(float[4,3] x) => (float[3,5] y) { y = com.microsoft.FusedGemm <activation = "Sigmoid", transA = 1> (x, w) }',
        {"w": (4, 5)},
    ),
    "matmul": Case(_PRODUCT.format("2,3,4,5", "2,3,6,5", "2,3,4,6", "alpha = 0.5, transB = 1")),
    "matmul-left": Case(_PRODUCT.format("2,5,4", "2,5,6", "2,4,6", "transA = 1")),
    "matmul-batch": Case(_PRODUCT.format("4,2,3,5", "2,3,5,6", "2,3,4,6", "transBatchA = 1")),
    "matmul-both": Case(_PRODUCT.format("4,2,5", "6,2,5", "2,4,6", "transBatchA = 1, transBatchB = 1, transB = 1")),
    "gelu": Case("(float[2,9] x) => (float[2,9] y) { y = com.microsoft.Gelu (x) }"),
    "gelu-fast": Case("(float[2,9] x) => (float[2,9] y) { y = com.microsoft.FastGelu (x) }"),
    "gelu-fast-bias": Case("(float[2,9] x) => (float[2,9] y) { y = com.microsoft.FastGelu (x, b) }", {"b": (9,)}),
    "gelu-bias": Case("(float[2,9] x) => (float[2,9] y) { y = com.microsoft.BiasGelu (x, b) }", {"b": (9,)}),
    "gelu-quick": Case("(float[2,9] x) => (float[2,9] y) { y = com.microsoft.QuickGelu <alpha = 1.5> (x) }"),
    "skip": Case(_SKIP.format("2,5,8", "", "", "g, b"), {"g": (8,), "b": (8,)}),
    "skip-sum": Case(
        "(float[2,5,8] x, float[2,5,8] s) => (float[2,5,8] y, float[2,5,8] t) {"
        " y, , , t = com.microsoft.SkipLayerNormalization <epsilon = 0.1> (x, s, g, b, d) }",
        {"g": (8,), "b": (8,), "d": (8,)},
    ),
    "skip-spread": Case(_SKIP.format("5,8", "", "", "g"), {"g": (8,)}),
    "skip-simple": Case(_SKIP.format("2,5,8", "Simplified", " <epsilon = 0.01>", "g, d"), {"g": (8,), "d": (8,)}),
    "simple": Case("(float[2,5,8] x) => (float[2,5,8] y) { y = SimplifiedLayerNormalization (x, g) }", {"g": (8,)}),
    "embed": Case(
        "(int32[2,5] i, int32[2,5] t, int32[2,5] m) => (float[2,5,8] y, int32[2] n, float[2,5,8] e) {"
        " y, n, e = com.microsoft.EmbedLayerNormalization (i, t, words, places, kinds, g, b, m) }",
        _EMBED,
        _EMBED_FEED,
    ),
    "embed-plain": Case(
        "(int32[2,5] i, int32[2,5] p) => (float[2,5,8] y, int32[2] n) {"
        " y, n = com.microsoft.EmbedLayerNormalization <epsilon = 0.5> (i, , words, places, , g, b, , p) }",
        _EMBED,
        {**_EMBED_FEED, "p": integers(2, 5, below=9)},
    ),
    "attention": Case(_ATTENTION.format("", "", ""), _ATTENTION_PARTS),
    "attention-causal": Case(_ATTENTION.format("", ", unidirectional = 1, scale = 0.3", ""), _ATTENTION_PARTS),
    "attention-mask": Case(
        _ATTENTION.format(", int32[2,5] m", "", ", m"),
        _ATTENTION_PARTS,
        {"m": np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.int32)},
    ),
    "attention-length": Case(
        _ATTENTION.format(", int32[2] m", "", ", m"), _ATTENTION_PARTS, {"m": np.array([3, 5], np.int32)}
    ),
    "attention-mask-3d": Case(
        _ATTENTION.format(", int32[2,5,5] m", ", mask_filter_value = -20.0", ", m"),
        _ATTENTION_PARTS,
        {"m": integers(2, 5, 5, below=2)},
    ),
    "attention-bias": Case(_ATTENTION.format(", float[1,2,5,5] r", "", ", , , r"), _ATTENTION_PARTS),
    "attention-sizes": Case(
        "(float[2,5,8] x) => (float[2,5,6] y) {"
        " y = com.microsoft.Attention <num_heads = 2, qkv_hidden_sizes = [4, 4, 6]> (x, w, b) }",
        {"w": (8, 14), "b": (14,)},
    ),
    "heads": Case(_HEADS.format("", "", "")),
    "heads-bias": Case(_HEADS.format("", ", scale = 0.4", ", b"), {"b": (20,)}),
    "heads-mask": Case(
        _HEADS.format(", int32[2,5] m", "", ", , m"), {}, {"m": np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.int32)}
    ),
    "heads-added": Case(_HEADS.format(", float[2,2,3,5] r", "", ", , , r")),
    "rotary": Case(
        _ROTARY.format("2,5,8", "2,5", "2,5,8", "interleaved = 0"),
        {"c": (9, 4), "s": (9, 4)},
        {"p": integers(2, 5, below=9, dtype="int64")},
    ),
    "rotary-start": Case(
        _ROTARY.format("2,3,5,8", "1", "2,3,5,8", "interleaved = 0"), {"c": (9, 4), "s": (9, 4)}, {"p": np.array([2])}
    ),
    "rotary-interleaved": Case(
        _ROTARY.format("2,5,16", "2,5", "2,5,16", "interleaved = 1"),
        {"c": (9, 4), "s": (9, 4)},
        {"p": integers(2, 5, below=9, dtype="int64")},
    ),
    "rotary-part": Case(
        _ROTARY.format("2,5,16", "2,5", "2,5,16", "num_heads = 2, rotary_embedding_dim = 4"),
        {"c": (9, 2), "s": (9, 2)},
        {"p": integers(2, 5, below=9, dtype="int64")},
    ),
}

CASES = {**FLOATS, **QUANTIZED}
