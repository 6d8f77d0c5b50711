"""Which zeros save no time, and why."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.compiler.compile import compile as compile_model
from graphprune.compiler.dense_zeros import dense_zeros
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune_runtime.session import CompiledSession
from tests.weighted import inferred_model


def warnings(model: ir.Model) -> list[str]:
    """What compiling it warns of."""
    session = compile_model(model)
    assert isinstance(session, CompiledSession)
    return [str(skip) for skip in dense_zeros(model, session)]


def sparse(*shape: int, dtype: str = "float32", share: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(0)
    array = rng.integers(1, 9, shape).astype(dtype)
    array.ravel()[rng.permutation(array.size)[: round(share * array.size)]] = 0
    return array


MATMUL = "main (T[4,8] x, T[8,20] w) => (T[4,20] y) { [fc] y = MatMul (x, w) }"
SINGLE, HALF, DOUBLE = (MATMUL.replace("T[", f"{kind}[") for kind in ("float", "float16", "double"))
LEFT = "main (float[8,4] x, float[20,8] w) => (float[20,4] y) { [fc] y = MatMul (w, x) }"

CASES: dict[str, tuple[str, dict[str, np.ndarray], str]] = {
    "double": (
        DOUBLE,
        {"w": sparse(8, 20, dtype="float64")},
        "no sparse kernel takes double of shape [8, 20]",
    ),
    "from the left": (
        LEFT,
        {"w": sparse(20, 8)},
        "node 'fc' (MatMul) multiplies by it from the left [GP341]",
    ),
    "depthwise": (
        """main (float[2,8,5,5] x, float[8,1,5,4] w) => (float[2,8,1,2] y) { [dw] y = Conv <group = 8> (x, w) }""",
        {"w": sparse(8, 1, 5, 4)},
        "node 'dw' (Conv) is depthwise, it has 8 groups [GP302]",
    ),
}


@pytest.mark.parametrize(("text", "weights", "expected"), CASES.values(), ids=CASES)
def test_zeros_that_save_no_time_are_named(text: str, weights: dict[str, Any], expected: str) -> None:
    made = inferred_model(text, weights)
    last, share = made.graph[-1], np.mean(weights["w"] == 0)
    where = f"node '{last.name}' ({last.op_type}): {share:.1%} of weight 'w' is zero, and it runs dense"
    assert warnings(made) == [f"{where}: {expected} [GP354]"]


WITHOUT = {
    "float": (SINGLE, {"w": sparse(8, 20)}),
    "float16": (HALF, {"w": sparse(8, 20, dtype="float16")}),
    "few zeros": (DOUBLE, {"w": sparse(8, 20, dtype="float64", share=0.4)}),
    "nothing but zeros": (DOUBLE, {"w": sparse(8, 20, dtype="float64", share=1.0)}),
    "faster dense": (SINGLE, {"w": sparse(8, 20, share=0.5)}),
    "no product": (
        "main (float[4,8,20] x, float[8,20] w) => (float[4,8,20] y) { y = Add (x, w) }",
        {"w": sparse(8, 20)},
    ),
    "a vector": (
        "main (float[4,8] x, float[8] w) => (float[4] y) { y = MatMul (x, w) }",
        {"w": sparse(8, share=0.5)},
    ),
    "stored as float16": (
        "main (float[4,8] x, float16[8,20] w) => (float[4,20] y) { c = Cast <to = 1> (w) [fc] y = MatMul (x, c) }",
        {"w": sparse(8, 20, dtype="float16")},
    ),
    "three axes": (
        "main (float[2,8,5,5,5] x, float[8,8,2,2,2] w) => (float[2,8,4,4,4] y) { y = Conv (x, w) }",
        {"w": sparse(8, 8, 2, 2, 2)},
    ),
    "transposed": (
        "main (float[2,8,5,5] x, float[8,8,2,2] w) => (float[2,8,6,6] y) { y = ConvTranspose (x, w) }",
        {"w": sparse(8, 8, 2, 2)},
    ),
    "quantized": (
        """main (float[4,8] x, int8[8,20] w, float[1] w_s) => (float[4,20] y) {
            d = DequantizeLinear (w, w_s) [fc] y = MatMul (x, d) }""",
        {"w": sparse(8, 20, dtype="int8"), "w_s": np.ones(1, "float32")},
    ),
    "recurrent": (
        """main (float[3,2,8] x, float[1,5,8] w, float[1,5,5] w_r) => (float[3,1,2,5] y) {
            [rnn] y = RNN <hidden_size = 5> (x, w, w_r) }""",
        {"w": sparse(1, 5, 8), "w_r": sparse(1, 5, 5)},
    ),
    "not computed": (
        "main (double[4,8] x, double[8,20] w) => (double[4,8] y) { u = MatMul (x, w) y = Neg (x) }",
        {"w": sparse(8, 20, dtype="float64")},
    ),
}


@pytest.mark.parametrize(("text", "weights"), WITHOUT.values(), ids=WITHOUT)
def test_what_is_no_waste_is_not(text: str, weights: dict[str, Any]) -> None:
    assert warnings(inferred_model(text, weights)) == []


def test_a_packed_model_is_looked_at_too() -> None:
    text = DOUBLE.replace("y = MatMul (x, w) }", "a = MatMul (x, w) [r] y = Relu (a) }")
    packed = run_pass(PackWeights(), inferred_model(text, {"w": sparse(8, 20, dtype="float64")})).model
    (warning,) = warnings(packed)
    assert warning.startswith("node 'fc' (MatMul): 90.0% of weight 'w' is zero")


def test_what_onnx_runtime_fused_is_named_by_its_parts() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        main (float[1,8,5,5] x, float[8,1,5,4] w) => (float[1,8,1,2] y) {
            [fused] y = com.microsoft.FusedConv <group = 8, activation = "Relu"> (x, w) }"""
    (warning,) = warnings(inferred_model(text, {"w": sparse(8, 1, 5, 4)}))
    assert warning.startswith("node 'fused.Conv' (Conv): 90.0% of weight 'w' is zero, and it runs dense")
