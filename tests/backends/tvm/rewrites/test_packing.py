"""Zeros of half-precision, quantized and recurrent weights: sparse kernels, and the numbers of dense ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from graphprune.backends.base import Variant
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.backend import TvmBackend
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.targets.target import resolve_target
from graphprune.verification.feeds import random_feed
from graphprune_runtime.file import CompiledFile
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import assert_equal, assert_equal_on, compile_, parse, pruned

PRODUCTS = {
    "convolution": ("T[2,16,9,9] x", "T[2,12,9,9] y", "y = Conv<pads=[1,1,1,1]>(x,w)", (12, 16, 3, 3)),
    "convolution with groups": (
        "T[2,16,9,9] x",
        "T[2,12,9,9] y",
        "y = Conv<pads=[1,1,1,1],group=2>(x,w)",
        (12, 8, 3, 3),
    ),
    "matmul": ("T[40,64] x", "T[40,48] y", "y = MatMul(x,w)", (64, 48)),
    "gemm": ("T[40,64] x", "T[40,48] y", "y = Gemm<transB=1,alpha=0.5>(x,w)", (48, 64)),
    "a few rows": ("T[2,64] x", "T[2,48] y", "h = MatMul(x,w) y = Relu(h)", (64, 48)),
}
KINDS = {"float16": (np.float16, 2.0**-10), "bfloat16": (ml_dtypes.bfloat16, 2.0**-7)}


def sparse_nodes(session: CompiledSession) -> list[str]:
    """The nodes that were given a sparse kernel, in order."""
    return [note.node for note in session.kernels if note.kernel not in ("dense", "winograd")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", PRODUCTS)
def test_half_precision_is_summed_in_float32_and_rounded_once(case: str, kind: str) -> None:
    x, y, nodes, shape = PRODUCTS[case]
    text, (dtype, step) = f"g ({x}) => ({y}) {{ {nodes} }}", KINDS[kind]
    weight = pruned(*shape, zeros=0.9).astype(dtype)
    session = compile_(parse(text.replace("T[", f"{kind}["), {"w": weight}, opset=22))
    assert case == "a few rows" or len(sparse_nodes(session)) == 1  # of a few, the processor decides
    single = parse(text.replace("T[", "float["), {"w": weight.astype(np.float32)})
    feed = {"x": random_feed(single)["x"].astype(dtype)}
    expected = session_for(single, optimize=False).run(None, {"x": feed["x"].astype(np.float32)})[0]
    (found,) = session.run(None, feed)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0.6 * step, atol=1e-5)


def test_a_half_precision_network_is_what_onnxruntime_computes() -> None:
    text = """g (float16[1,16,8,8] x) => (float16[1,10] y) {
        [first] a = Conv<pads=[1,1,1,1]>(x,w) b = Relu(a) p = GlobalAveragePool(b) f = Flatten(p)
        [last] y = Gemm<transB=1>(f,v,c) }"""
    weights = {"w": pruned(32, 16, 3, 3, zeros=0.9), "v": pruned(10, 32, zeros=0.9), "c": pruned(10)}
    model = parse(text, {name: each.astype(np.float16) for name, each in weights.items()})
    session = compile_(model)
    assert sparse_nodes(session) == ["first.Conv", "last.Gemm"]
    feed = random_feed(session.get_inputs())
    expected = session_for(model, optimize=False).run(None, feed)[0]
    np.testing.assert_allclose(session.run(None, feed)[0], expected, rtol=4e-3, atol=4e-3)


def test_half_precision_in_groups_of_four() -> None:
    weight = pruned(64, 32, zeros=0)
    weight[np.arange(64) % 4 < 2] = 0
    session = compile_(
        parse("g (float16[1,64] x) => (float16[1,32] y) { y = MatMul(x,w) }", {"w": weight.astype(np.float16)})
    )
    assert session.kernels[0].kernel == "2:4"


STORED = {"one row": (1, 1), "neighbouring rows": (40, 1), "rows of 4": (40, 4)}
"""Rows of inputs, and outputs that share their zeros."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", STORED)
def test_half_precision_takes_16_bits_a_value_in_the_file(case: str, kind: str, tmp_path: Path) -> None:
    rows, height = STORED[case]
    weight = pruned(256, 256 // height, zeros=0.9).repeat(height, axis=1)
    weight *= 1 + np.arange(256, dtype=np.float32) / 256

    def stored(dtype: npt.DTypeLike, name: str) -> int:
        text = f"g ({name}[{rows},256] x) => ({name}[{rows},256] y) {{ y = MatMul(x,w) }}"
        model = parse(text, {"w": weight.astype(dtype)}, opset=22)
        small = replace(resolve_target("native"), l2_bytes=1 << 12)  # the weight is in no cache
        TvmBackend().compile([Variant.of(model)], small, 1).save(tmp_path / "m.so")
        with (tmp_path / "m.so").open("rb") as file:
            return CompiledFile.read(file, "m").footer.weights_bytes

    saved = stored(np.float32, "float") - stored(KINDS[kind][0], kind)
    nonzeros = np.count_nonzero(weight)
    assert abs(saved - 2 * nonzeros) < 300


def quantized(*shape: int, zero: int = 0, dtype: npt.DTypeLike = np.int8) -> npt.NDArray[Any]:
    """Integers of which nine in ten are the zero point."""
    values = np.clip(np.round(40 * pruned(*shape, zeros=0.9)) + zero, np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.asarray(values, dtype)


QUANTIZED = {
    "int8": ("w = DequantizeLinear(q,s)", {"q": quantized(48, 64), "s": np.array(0.02, np.float32)}),
    "uint8 with a zero point": (
        "w = DequantizeLinear(q,s,z)",
        {
            "q": quantized(48, 64, zero=128, dtype=np.uint8),
            "s": np.array(0.02, np.float32),
            "z": np.array(128, np.uint8),
        },
    ),
    "one scale a row": (
        "w = DequantizeLinear<axis=0>(q,s,z)",
        {
            "q": quantized(48, 64, zero=3),
            "s": np.linspace(0.01, 0.03, 48, dtype=np.float32),
            "z": np.full(48, 3, np.int8),
        },
    ),
    "in blocks": (
        "w = DequantizeLinear<axis=1,block_size=16>(q,s)",
        {"q": quantized(48, 64), "s": np.abs(pruned(48, 4, zeros=0)) / 50},
    ),
}


@pytest.mark.parametrize("case", QUANTIZED)
def test_zeros_of_a_quantized_weight(case: str) -> None:
    dequantize, weights = QUANTIZED[case]
    text = f"g (float[40,64] x) => (float[40,48] y) {{ {dequantize} [fc] y = Gemm<transB=1>(x,w) }}"
    model = parse(text, weights, opset=21 if "block_size" in dequantize else 18)
    session = compile_(model)
    assert sparse_nodes(session) == ["fc"]
    assert_equal(session, model)


def test_a_quantized_convolution_between_quantized_values() -> None:
    text = """g (float[1,16,8,8] x) => (float[1,12,8,8] y) {
        a = QuantizeLinear(x,t,u) b = DequantizeLinear(a,t,u) w = DequantizeLinear<axis=0>(q,s)
        [conv] y = Conv<pads=[1,1,1,1]>(b,w) }"""
    weights = {
        "q": quantized(12, 16, 3, 3),
        "s": np.linspace(0.01, 0.03, 12, dtype=np.float32),
        "t": np.array(0.03, np.float32),
        "u": np.array(120, np.uint8),
    }
    model = parse(text, weights)
    session = compile_(model)
    assert sparse_nodes(session) == ["conv"]
    assert_equal(session, model)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@pytest.mark.parametrize(
    ("operator", "direction"),
    [("RNN", "bidirectional"), ("GRU", "reverse"), ("LSTM", "forward"), ("LSTM", "bidirectional")],
)
def test_zeros_of_recurrent_weights(operator: str, direction: str) -> None:
    both = 1 + (direction == "bidirectional")
    outputs = "y, h, c" if operator == "LSTM" else "y, h"
    declared = f"float[3,{both},3,48] y, float[{both},3,48] h" + (
        f", float[{both},3,48] c" if operator == "LSTM" else ""
    )
    text = f"""g (float[3,3,64] x, int32[3] n) => ({declared}) {{
        [cell] {outputs} = {operator}<hidden_size=48, direction="{direction}">(x,w,r,b,n) }}"""
    rows = GATES[operator] * 48
    weights = {
        "w": 0.3 * pruned(both, rows, 64, zeros=0.9),
        "r": 0.3 * pruned(both, rows, 48, zeros=0.9),
        "b": pruned(both, 2 * rows),
    }
    model = parse(text, weights)
    session = compile_(model)
    products = ["cell.W", *["cell.R"] * (2 if operator == "GRU" else 1)]
    assert sparse_nodes(session) == [note.node for note in session.kernels] == products
    x = np.random.default_rng(1).standard_normal((3, 3, 64)).astype(np.float32)
    assert_equal_on({"x": x, "n": np.array([3, 1, 2], np.int32)}, model, rtol=2e-5, atol=2e-6)


def test_what_has_no_sparse_kernel_stays_dense() -> None:
    text = "g (double[40,64] x) => (double[40,48] y) { [fc] y = Gemm(x,w) }"
    model = parse(text, {"w": pruned(64, 48, zeros=0.9).astype(np.float64)})
    session = compile_(model)
    assert sparse_nodes(session) == []
    assert {call.node for call in session.description.programs[0].calls} == {"fc.MatMul.MatMul"}
    assert_equal(session, model)


def test_a_packed_model_stays_as_it_is() -> None:
    model = parse("g (float[40,64] x) => (float[40,48] y) { y = MatMul(x,w) }", {"w": pruned(64, 48, zeros=0.9)})
    packed = run_pass(PackWeights(layout="bitmask"), model).model
    assert_equal(compile_(packed), model)
