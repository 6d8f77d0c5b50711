"""Which zeros save no time, and why."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.compiler.dense_zeros import dense_zeros
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.shape_inference import infer_shapes
from graphprune_runtime.description import KernelNote
from graphprune_runtime.session import CompiledSession
from tests.weighted import weighted_model


def session(*notes: KernelNote) -> CompiledSession:
    """What has a description with these notes, and cannot run."""
    programs = [SimpleNamespace(kernels=notes)]
    return cast("CompiledSession", SimpleNamespace(description=SimpleNamespace(programs=programs)))


def sparse(*shape: int, dtype: str = "float32", share: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(0)
    array = rng.integers(1, 9, shape).astype(dtype)
    array.ravel()[rng.permutation(array.size)[: round(share * array.size)]] = 0
    return array


def model(text: str, **weights: np.ndarray) -> ir.Model:
    made = weighted_model(text, weights)
    infer_shapes(made)
    return made


HALF = "main (float16[N,8] x, float16[8,20] w) => (float16[N,20] y) { [fc] y = MatMul (x, w) }"
SINGLE = HALF.replace("float16", "float")

CASES: dict[str, tuple[str, dict[str, np.ndarray], str]] = {
    "float16": (
        HALF,
        {"w": sparse(8, 20, dtype="float16")},
        "holds float16, expected float or double [GP343]",
    ),
    "quantized": (
        """main (float[N,8] x, int8[8,20] w, float[1] w_s) => (float[N,20] y) {
            d = DequantizeLinear (w, w_s) [fc] y = MatMul (x, d) }""",
        {"w": sparse(8, 20, dtype="int8"), "w_s": np.ones(1, "float32")},
        "holds int8, expected float or double [GP343]",
    ),
    "recurrent": (
        """main (float[5,N,8] x, float[1,5,8] w, float[1,5,5] w_r) => (float[5,1,N,5] y) {
            [rnn] y = RNN <hidden_size = 5> (x, w, w_r) }""",
        {"w": sparse(1, 5, 8), "w_r": sparse(1, 5, 5, share=0.0)},
        "node 'rnn' (RNN) has no packed form [GP341]",
    ),
    "depthwise": (
        """main (float[N,8,5,5] x, float[8,1,5,4] w) => (float[N,8,1,2] y) { [dw] y = Conv <group = 8> (x, w) }""",
        {"w": sparse(8, 1, 5, 4)},
        "node 'dw' (Conv) has 8 groups, expected 1 [GP302]",
    ),
}


@pytest.mark.parametrize(("text", "weights", "expected"), CASES.values(), ids=CASES)
def test_zeros_that_save_no_time_are_named(text: str, weights: dict[str, Any], expected: str) -> None:
    made = model(text, **weights)
    last = made.graph[-1]
    where = f"node '{last.name}' ({last.op_type}): 90.0% of weight 'w' is zero, and it runs dense"
    assert [str(skip) for skip in dense_zeros(made, session())] == [f"{where}: {expected} [GP354]"]


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        (SINGLE, {"w": sparse(8, 20)}),
        (HALF, {"w": sparse(8, 20, dtype="float16", share=0.4)}),
        (HALF, {"w": sparse(8, 20, dtype="float16", share=1.0)}),
        (
            "main (float[N,8,20] x, float[8,20] w) => (float[N,8,20] y) { y = Add (x, w) }",
            {"w": sparse(8, 20)},
        ),
        (
            """main (float[N,8] x, float16[8,20] w) => (float[N,20] y) {
                c = Cast <to = 1> (w) y = MatMul (x, c) }""",
            {"w": sparse(8, 20, dtype="float16")},
        ),
    ],
    ids=["float", "few zeros", "nothing but zeros", "no product", "stored as float16"],
)
def test_what_is_no_waste_is_not(text: str, weights: dict[str, Any]) -> None:
    assert dense_zeros(model(text, **weights), session()) == []


def test_what_a_sparse_kernel_was_given_to_is_not() -> None:
    half = model(HALF, w=sparse(8, 20, dtype="float16"))
    assert dense_zeros(half, session(KernelNote("fc", "rows", "", ()))) == []
    assert len(dense_zeros(half, session(KernelNote("fc", "dense", "", ())))) == 1


def test_a_packed_model_is_looked_at_too() -> None:
    text = (
        SINGLE.replace("y = MatMul (x, w) }", "a = MatMul (x, w) [r] y = MatMul (w2, a) }")
        .replace("float[8,20] w)", "float[8,20] w, float[3,8] w2)")
        .replace("float[N,8]", "float[8,8]")
        .replace("float[N,20]", "float[3,20]")
    )
    packed = run_pass(PackWeights(), model(text, w=sparse(8, 20), w2=sparse(3, 8, share=0.0))).model
    assert dense_zeros(packed, session()) == []


def test_what_onnx_runtime_fused_is_named_by_its_parts() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        main (float[1,8,5,5] x, float[8,1,5,4] w) => (float[1,8,1,2] y) {
            [fused] y = com.microsoft.FusedConv <group = 8, activation = "Relu"> (x, w) }"""
    (skip,) = dense_zeros(model(text, w=sparse(8, 1, 5, 4)), session())
    assert str(skip).startswith("node 'fused.Conv' (Conv): 90.0% of weight 'w' is zero, and it runs dense")
