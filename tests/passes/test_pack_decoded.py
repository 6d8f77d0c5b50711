"""Weights of recurrent nodes and quantized ones: calls that only decode, there and back, in runtimes and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnx import checker

from graphprune.backends.onnxruntime import session_for
from graphprune.compiler.compile import compile as compile_model
from graphprune.packed.calls import is_decoding
from graphprune.packed.summary import stored_weights
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, set_stage
from graphprune.testing.check_pass import check_pass
from graphprune.verification.feeds import random_feed
from graphprune.verification.verifier import verify
from graphprune_runtime.session import CompiledSession
from tests.weighted import inferred_model, weight_of

LAYOUTS = ("rows", "bitmask", "2:4", "block 4x1", "auto")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def sparse(*shape: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Numbers of which two of every four along the last axis are zero, in blocks of four along the one before."""
    rng = np.random.default_rng(0)
    kept = np.argsort(rng.random((*shape[:-2], shape[-2] // 4, shape[-1] // 4, 4))) < 2
    kept &= rng.random(kept.shape[:-1])[..., None] < 0.5
    mask = kept.reshape(*shape[:-2], shape[-2] // 4, shape[-1]).repeat(4, axis=-2)
    return np.where(mask, rng.integers(-90, 90, shape) * 2 + 1, 0).astype(dtype)


def recurrent(operator: str, kind: str = "float") -> tuple[str, dict[str, npt.NDArray[Any]]]:
    rows = GATES[operator] * 8
    text = f"""main ({kind}[3,2,16] x, {kind}[2,{rows},16] w, {kind}[2,{rows},8] w_r) => ({kind}[3,2,2,8] y) {{
        [cell] y = {operator} <hidden_size = 8, direction = "bidirectional"> (x, w, w_r) }}"""
    dtype = np.float64 if kind == "double" else np.float32
    return text, {"w": sparse(2, rows, 16, dtype=dtype) / 256, "w_r": sparse(2, rows, 8, dtype=dtype) / 256}


def decoding(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph if is_decoding(node)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("operator", GATES)
def test_recurrent_weights_there_and_back(operator: str, layout: str) -> None:
    text, weights = recurrent(operator)
    model = inferred_model(text, weights)
    set_stage(model, Stage.SPARSE)
    packed = check_pass(PackWeights(layout=layout, min_sparsity=0.5), model, cases=2)
    assert len(decoding(packed.model)) == len(packed.rewrites) == 2
    assert not packed.skips
    checker.check_model(ir.to_proto(packed.model), full_check=True)
    back = check_pass(UnpackWeights(), packed.model, model)
    for name, weight in weights.items():
        assert weight_of(back.model, name).tobytes() == weight.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_weight_of_a_transposed_convolution_there_and_back(layout: str) -> None:
    text = "main (float[1,16,5,5] x, float[16,8,3,3] w) => (float[1,8,7,7] y) { y = ConvTranspose (x, w) }"
    weight = np.tile(sparse(8, 16)[..., None, None], (3, 3)).swapaxes(0, 1) / 256  # groups of two in four inputs
    model = inferred_model(text, {"w": weight})
    set_stage(model, Stage.SPARSE)
    packed = check_pass(PackWeights(layout=layout, min_sparsity=0.5), model, cases=2)
    assert (len(decoding(packed.model)), packed.skips) == (1, ())
    back = check_pass(UnpackWeights(), packed.model, model)
    assert weight_of(back.model, "w").tobytes() == np.ascontiguousarray(weight).tobytes()


QUANTIZED = {
    "convolution": ("float[1,16,5,5] x, int8[8,16,3,3] w", "float[1,8,3,3] y", "y = Conv (x, d)", (0, 1, 2, 3)),
    "matmul": ("float[3,16] x, int8[16,8] w", "float[3,8] y", "y = MatMul (x, d)", (1, 0)),
    "gemm": ("float[3,16] x, int8[8,16] w", "float[3,8] y", "y = Gemm <transB = 1> (x, d)", (0, 1)),
    "from the left": ("float[16,3] x, int8[8,16] w", "float[8,3] y", "y = MatMul (d, x)", (0, 1)),
    "two readers": (
        "float[3,16] x, int8[16,8] w",
        "float[3,16] y",
        "h = MatMul (x, d) y = Gemm <transB = 1> (h, d)",
        (1, 0),
    ),
}


def quantized(case: str, kind: str = "int8", **more: npt.NDArray[Any]) -> ir.Model:
    inputs, outputs, nodes, perm = QUANTIZED[case]
    text = f"main ({inputs}, float w_s, int8 w_z) => ({outputs}) {{ d = DequantizeLinear (w, w_s, w_z) {nodes} }}"
    seen = sparse(8, 16) if len(perm) == 2 else np.tile(sparse(8, 16)[..., None, None], (3, 3))
    stored = np.clip(seen.transpose(perm), -127, 127).astype(np.int8)
    weights = {"w": stored, "w_s": np.array(0.02, np.float32), "w_z": np.array(0, np.int8), **more}
    return inferred_model(text.replace("int8", kind), weights)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", QUANTIZED)
def test_quantized_weights_there_and_back(case: str, layout: str) -> None:
    model = quantized(case)
    packed = run_pass(PackWeights(layout=layout, min_sparsity=0.5), model)
    assert (len(decoding(packed.model)), packed.skips) == (1, ())
    checker.check_model(ir.to_proto(packed.model), full_check=True)
    feed = random_feed(model)
    for optimize in (False, True):
        found, expected = (session_for(each, optimize=optimize).run(None, feed)[0] for each in (packed.model, model))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    back = run_pass(UnpackWeights(), packed.model).model
    assert weight_of(back, "w").tobytes() == weight_of(model, "w").tobytes()
    assert [node.op_type for node in back.graph] == [node.op_type for node in model.graph]


def test_the_integers_that_stand_for_zero_have_to_be_zero() -> None:
    shifted = quantized("gemm", w=sparse(8, 16).astype(np.int8), w_z=np.array(-3, np.int8))
    assert [str(skip) for skip in run_pass(PackWeights(), shifted).skips] == [
        "w: holds int8 in which -3 stands for zero, expected 0 [GP355]"
    ]


def test_integers_of_four_bits_stay() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
        main (float[3,16] x, int4[8,16] w, float w_s) => (float[3,8] y) {
            d = DequantizeLinear (w, w_s)
            y = Gemm <transB = 1> (x, d)
        }"""
    weights = {"w": np.clip(sparse(8, 16), -7, 7).astype(ir.DataType.INT4.numpy()), "w_s": np.array(0.1, np.float32)}
    assert [str(skip) for skip in run_pass(PackWeights(), inferred_model(text, weights)).skips] == [
        "w: holds int4, expected floating-point numbers or integers of 8 bits [GP343]"
    ]


def test_two_cells_share_what_is_decoded() -> None:
    text = """main (float[3,2,8] x, float[1,8,8] w, float[1,8,8] w_r) => (float[3,1,2,8] y, float[3,1,2,8] z) {
        [first] y = RNN <hidden_size = 8> (x, w, w_r) [second] z = RNN <hidden_size = 8> (x, w_r, w) }"""
    model = inferred_model(text, {"w": sparse(1, 8, 8) / 256, "w_r": sparse(1, 8, 8)[:, ::-1] / 256})
    packed = check_pass(PackWeights(min_sparsity=0.5), model, cases=2)
    assert len(decoding(packed.model)) == 2
    assert [(each.name, each.operator, each.node) for each in stored_weights(packed.model)] == [
        ("w", "RNN", "first"),
        ("w_r", "RNN", "first"),
    ]


def test_a_weight_that_is_turned_before_it_is_read() -> None:
    text = """main (float[3,2,16] x, float[8,16,1] w, float[1,8,8] w_r) => (float[3,1,2,8] y) {
        t = Transpose <perm = [2, 0, 1]> (w) y = RNN <hidden_size = 8> (x, t, w_r) }"""
    weight = np.ascontiguousarray(sparse(1, 8, 16).transpose(1, 2, 0)) / 256
    packed = check_pass(PackWeights(layout="2:4"), inferred_model(text, {"w": weight}), cases=2)
    assert [rewrite.rule for rewrite in packed.rewrites] == ["2:4"]
    back = check_pass(UnpackWeights(), packed.model, cases=2)
    assert weight_of(back.model, "w").tobytes() == weight.tobytes()


@pytest.mark.parametrize("case", ["recurrent", "quantized"])
def test_what_is_decoded_compiles_to_sparse_kernels(case: str) -> None:
    model = inferred_model(*recurrent("LSTM")) if case == "recurrent" else quantized("matmul")
    packed = run_pass(PackWeights(min_sparsity=0.5), model).model
    assert decoding(packed)
    session = compile_model(packed)
    assert isinstance(session, CompiledSession)
    assert session.kernels
    assert all({"rows", "2:4", "slots"} & set(note.eligible) for note in session.kernels)
    verify(packed, session).raise_for_failure()
    verify(model, packed).raise_for_failure()
