"""Operators of ONNX Runtime as operators of ONNX: the same numbers in ONNX Runtime, and what is refused."""

import re

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.graph.opaque import is_opaque
from graphprune.passes.base import run_pass
from graphprune.passes.contrib.table import CONTRIB
from graphprune.passes.expand_contrib import ExpandContrib
from graphprune.verification.feeds import random_feed
from tests.passes.contrib_case import Case
from tests.passes.contrib_cases import CASES


def feed_of(case: Case) -> dict[str, np.ndarray]:
    """The case's values, and seeded ones for the others of its inputs."""
    model = case.model()
    random = random_feed(session_for(model, optimize=False).get_inputs(), 0)
    return {str(value.name): case.feed.get(str(value.name), random[str(value.name)]) for value in model.graph.inputs}


def assert_close(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one.astype(float), other.astype(float), rtol=1e-5, atol=2e-6)


def test_every_rewrite_has_a_case() -> None:
    used = {(node.domain, node.op_type) for case in CASES.values() for node in case.model().graph}
    assert used == set(CONTRIB)


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_computes_what_onnx_runtime_does(name: str) -> None:
    case = CASES[name]
    model, feed = case.model(), feed_of(case)
    result = run_pass(ExpandContrib(), model)
    assert not result.skips
    assert not any(is_opaque(result.model, node) for node in result.model.graph)
    ours, theirs = (session_for(each, optimize=False).run(None, feed) for each in (result.model, model))
    assert_close(ours, theirs)
    assert not run_pass(ExpandContrib(), result.model).changed


REFUSED = [
    ('com.microsoft.FusedConv <activation = "Relu", window = 3> (x, w)', "GP155", "attribute 'window' is not one"),
    ("com.microsoft.QuickGelu (x, w)", "GP156", r"input 1 \('w'\) is not one"),
    ('com.microsoft.FusedConv <activation = "Elu"> (x, w)', "GP157", "activation 'Elu' with 0 parameters"),
    ('com.microsoft.FusedConv <activation = "Clip", activation_params = [1.0]> (x, w)', "GP157", "'Clip' with 1 par"),
    (
        'com.microsoft.FusedGemm <activation = "Relu", activation_beta = 1.0> (x, w)',
        "GP157",
        "'activation_beta' is set",
    ),
    ("com.microsoft.FusedMatMul <transB = 1> (x, v)", "GP157", "operand 1 is a vector"),
    ("com.microsoft.Attention <num_heads = 2, do_rotary = 1> (x, w)", "GP157", "'do_rotary' is set"),
    ("com.microsoft.Attention <num_heads = 5> (x, w)", "GP157", "5 heads do not share widths of"),
    ("com.microsoft.Attention <num_heads = 2> (x, w, , v)", "GP157", r"a mask of shape \[24\]"),
    ("com.microsoft.Attention <num_heads = 2> (x, w, , , x)", "GP156", r"input 4 \('x'\)"),
    ("com.microsoft.MultiHeadAttention <num_heads = 2> (x)", "GP157", "not three inputs of rank 3"),
    ("com.microsoft.RotaryEmbedding <scale = 2.0> (x, v, w, w)", "GP157", "'is_packed_batching' or 'scale'"),
    ("com.microsoft.QLinearSigmoid (x, v, , v)", "GP157", "input 2, a zero point, is missing"),
    ("com.microsoft.QLinearSoftmax <opset = 13> (x, v, , v)", "GP157", "input 2, a zero point, is missing"),
    ("com.microsoft.nchwc.Conv (x, w)", "GP145", "it computes on blocks for one processor: let ONNX Runtime write"),
    ("com.microsoft.DequantizeLinear <axis = 3> (i, v, j)", "GP157", "axis is 3, of 1 axes"),
    ("com.microsoft.DequantizeLinear <axis = 0> (i, s, j)", "GP157", r"input 2 has shape \[24\], expected \[1\]"),
    ("com.microsoft.QLinearSigmoid (x, v, j, v, j)", "GP157", r"'v' has shape \[24\], expected one element"),
    ("com.microsoft.MatMulNBits <K = 8, N = 24, block_size = 16> (x, x, s)", "GP157", "input 1 is not constant"),
    ("com.microsoft.MatMulNBits <K = 8, N = 24> (x, k, s)", "GP157", "block_size is 0, expected at least 1"),
    ("com.microsoft.MatMulNBits <K = 8, N = 24, bits = 3> (x, k, s)", "GP157", "bits is 3, expected one of 2, 4, 8"),
    ("com.microsoft.MatMulNBits <K = 8, N = 4, block_size = 16> (x, k, s)", "GP157", "32 levels and 1 scales do not"),
    (
        "com.microsoft.MatMulNBits <K = 8, N = 1, block_size = 32, weight_prepacked = 1> (x, k, s)",
        "GP157",
        "'weight_prepacked' is set",
    ),
    ("com.microsoft.MatMulNBits <K = 8, N = 1, block_size = 32> (x, k, s, , s)", "GP156", r"input 4 \('s'\)"),
    ("com.microsoft.MatMulNBits <K = 16, N = 1, block_size = 16> (x, k, v, f)", "GP157", "32 levels and 24 scales"),
    ("com.microsoft.MatMulNBits <K = 32, N = 1, block_size = 16> (x, k, t, s)", "GP157", "1 zero points do not make"),
    ("com.microsoft.MatMulNBits <K = 16, N = 2, block_size = 16> (x, k, t, s)", "GP157", "1 bytes of zero points"),
    ("com.microsoft.DynamicQuantizeLSTM <clip = 1.0> (x, w, w)", "GP155", "attribute 'clip'"),
    ("com.microsoft.DynamicQuantizeLSTM (x, w, w, , v)", "GP156", r"input 4 \('v'\)"),
    ('com.microsoft.DynamicQuantizeLSTM <activations = ["Elu"]> (x, x, x)', "GP157", "more than 128 steps"),
    ("com.microsoft.Attention <num_heads = 2> (o, w)", "GP158", "types or shapes of its inputs are not known"),
]


@pytest.mark.parametrize(("call", "code", "why"), REFUSED)
def test_what_a_rewrite_does_not_know_stays_and_says_why(call: str, code: str, why: str) -> None:
    text = f"(float[2,5,8] x, int16[2] i, float[n,5,8] o) => (float[a,b,c] y) {{ y = {call} }}"
    bytes_: dict[str, tuple[int, ...] | np.ndarray] = {
        "k": np.zeros((1, 1, 16), "uint8"),
        "j": np.zeros(24, "int16"),
        "t": (2,),
        "f": (1,),
    }
    model = Case(text, {"w": (8, 24), "v": (24,), "s": (1,), **bytes_}).model()
    result = run_pass(ExpandContrib(), model)
    assert not result.changed
    assert [skip.code for skip in result.skips] == [code]
    assert re.search(why, result.skips[0].reason)


def test_an_output_that_is_not_computed_is_refused() -> None:
    text = "(float[2,5,8] x) => (float[2,5,8] y, float[2] m) { y, m = com.microsoft.SkipLayerNormalization (x, x, w) }"
    result = run_pass(ExpandContrib(), Case(text, {"w": (8,)}).model())
    assert [(skip.code, "output 1 ('m')" in skip.reason) for skip in result.skips] == [("GP156", True)]


def test_an_operator_behind_a_rewritten_one_is_rewritten_though_its_shapes_were_unknown() -> None:
    text = "(float[2,5,8] x) => (float[2,5,8] y) { a = com.microsoft.Gelu (x)"
    text += " y = com.microsoft.Attention <num_heads = 2> (a, w) }"
    result = run_pass(ExpandContrib(), Case(text, {"w": (8, 24)}).model())
    assert not result.skips
    assert {rewrite.detail for rewrite in result.rewrites} == {
        "Gelu became operators of ONNX",
        "Attention became operators of ONNX",
    }


def test_what_may_have_any_shape_is_rewritten_while_dimensions_are_open() -> None:
    case = Case("(float[n,m] x) => (float[n,m] y) { y = com.microsoft.FastGelu (x) }")
    assert run_pass(ExpandContrib(), case.model()).changed


def test_weights_keep_their_names_and_other_nodes_theirs() -> None:
    text = "(float[3,4] x) => (float[3,5] y) { [mine] a = Relu (x) [fused] y = com.microsoft.FusedMatMul (a, w) }"
    after = run_pass(ExpandContrib(), Case(text, {"w": (4, 5)}).model()).model
    assert [node.name for node in after.graph] == ["mine", "fused.MatMul"]
    assert [value.name for value in after.graph[1].inputs if value] == ["a", "w"]
