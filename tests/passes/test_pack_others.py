"""Bit masks and blocks: there and back bit for bit, in runtimes, what is refused, and which layout `auto` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import checker

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune.packed.calls import is_packed_call, read_call
from graphprune.packed.functions import OLDEST_OPSET
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.verification import verify_stage
from graphprune.testing.check_pass import check_pass
from tests.weighted import weighted_model

MATMUL = """<ir_version: 10, opset_import: ["" : {opset}]>
main ({kind}[N,16] x, {kind}[16,12] w) => ({kind}[N,12] y) {{ [fc] y = MatMul (x, w) }}"""
CONV = "main (float[N,8,5,5] x, float[12,8,3,3] w) => (float[N,12,3,3] y) { y = Conv (x, w) }"
GEMM = "main (float[N,16] x, float[12,16] w, float[12] w_b) => (float[N,12] y) { y = Gemm <transB = 1> (x, w, w_b) }"
SPECIAL = [1e-45, -1e-40, 3.4e38, np.inf, -np.inf, np.nan, 0.1]
LAYOUTS = ("bitmask", "block 4x1", "block 1x4", "block 4x4", "block 2x8")


def matmul(kind: str = "float", opset: int = 18) -> str:
    return MATMUL.format(kind=kind, opset=opset)


def weight_of(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    """Whole blocks of 4 x 4 channels are zero; what stays has some zeros."""
    rng = np.random.default_rng(seed)
    weight: npt.NDArray[np.float32] = rng.standard_normal(shape).astype(np.float32)
    kept = rng.random((shape[0] // 4, shape[1] // 4, *shape[2:])) < 0.3
    kept = np.repeat(np.repeat(kept, 4, axis=0), 4, axis=1) & (rng.random(shape) >= 0.05)
    return np.where(kept, weight, np.float32(0))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", [matmul(), matmul("double"), CONV, GEMM], ids=["matmul", "double", "conv", "gemm"])
def test_there_and_back(text: str, layout: str) -> None:
    shape = (12, 8, 3, 3) if text == CONV else (12, 16) if text == GEMM else (16, 12)
    weight = weight_of(shape).astype(np.float64 if "double" in text else np.float32)
    model = weighted_model(text, {"w": weight})
    packed = check_pass(PackWeights(layout=layout, min_sparsity=0.0), model, cases=2)
    assert [rewrite.rule for rewrite in packed.rewrites] == [layout]
    back = check_pass(UnpackWeights(), packed.model, cases=2)
    value = back.model.graph.initializers["w"].const_value
    assert value is not None
    assert value.numpy().tobytes() == weight.tobytes()


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("opset", [OLDEST_OPSET, 18, 21])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_body_decodes_bit_for_bit(layout: str, opset: int, kind: str) -> None:
    weight = weight_of((16, 12)).astype(np.float32 if kind == "float" else np.float64)
    weight[weight != 0] = np.resize([v for v in SPECIAL if np.isfinite(v)], np.count_nonzero(weight))
    model = run_pass(PackWeights(layout=layout, min_sparsity=0.0), weighted_model(matmul(kind, opset), {"w": weight}))
    checker.check_model(ir.to_proto(model.model), full_check=True)
    unit = np.eye(16, dtype=weight.dtype)
    for optimize in (False, True):
        found = session_for(model.model, optimize=optimize).run(None, {"x": unit})[0]
        np.testing.assert_array_equal(found, weight)


HALVES = {"float16": (np.float16, [6e-8, 65504, -1, 0.1]), "bfloat16": (ml_dtypes.bfloat16, [1e-40, 3.3e38, -1, 0.1])}


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("layout", ["rows", "12:16", *LAYOUTS])
def test_half_precision_decodes_bit_for_bit(layout: str, kind: str) -> None:
    dtype, special = HALVES[kind]
    weight = weight_of((16, 12)).astype(dtype)
    weight[weight != 0] = np.resize(np.array(special, dtype), np.count_nonzero(weight))
    model = weighted_model(matmul(kind, 22), {"w": weight})
    packed = run_pass(PackWeights(layout=layout, min_sparsity=0.0), model).model
    unit = {"x": np.eye(16).astype(dtype)}
    (found,) = onnx.reference.ReferenceEvaluator(ir.to_proto(packed)).run(None, unit)
    np.testing.assert_array_equal(np.asarray(found), weight)
    if kind == "float16":  # ONNX Runtime has no product of bfloat16
        np.testing.assert_array_equal(session_for(packed).run(None, unit)[0], weight)
    back = run_pass(UnpackWeights(), packed).model.graph.initializers["w"].const_value
    assert back is not None
    assert back.numpy().tobytes() == weight.tobytes()


@pytest.mark.parametrize("layout", ["bitmask", "block 4x4"])
def test_special_values_survive(layout: str) -> None:
    weight = weight_of((16, 12))
    weight[weight != 0] = np.resize(np.array(SPECIAL, np.float32), np.count_nonzero(weight))
    packed = run_pass(PackWeights(layout=layout, min_sparsity=0.0), weighted_model(matmul(), {"w": weight})).model
    value = run_pass(UnpackWeights(), packed).model.graph.initializers["w"].const_value
    assert value is not None
    assert value.numpy().tobytes() == weight.tobytes()


@pytest.mark.parametrize("layout", ["bitmask", "block 4x4"])
def test_a_weight_of_zeros(layout: str) -> None:
    model = weighted_model(matmul(), {"w": np.zeros((16, 12), np.float32)})
    packed = check_pass(PackWeights(layout=layout), model, cases=2)
    assert [rewrite.rule for rewrite in packed.rewrites] == [layout]


@pytest.mark.parametrize("layout", ["bitmask", "block 4x4"])
def test_onnxruntime_decodes_once_when_it_loads_the_file(layout: str, tmp_path: Path) -> None:
    model = run_pass(PackWeights(layout=layout), weighted_model(matmul(), {"w": weight_of((16, 12))})).model
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    assert [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node] == ["MatMul"]


BITS = np.packbits(weight_of((16, 12)).T != 0, axis=1, bitorder="little")
DAMAGE: list[tuple[str, str, npt.NDArray[Any], str]] = [
    ("bitmask", "values", np.ones(3, np.float32), "3 values for 47 bits"),
    ("bitmask", "bits", np.concatenate([BITS, BITS[:, :1] * 0], axis=1), "bits has shape (12, 3), expected (12, 2)"),
    ("bitmask", "bits", np.zeros((12, 2), np.int8), "bits has dtype int8, expected uint8"),
    ("bitmask", "bits", np.zeros(24, np.uint8), "47 values for 0 bits"),
    ("block 4x4", "columns", np.array([0, 9, 1], np.int32), "column 9 at position 1 is outside [0, 4)"),
    ("block 4x4", "values", np.ones((3, 5, 4), np.float32), "12 rows by 16 columns, no multiple of 5 by 4"),
    ("block 4x4", "values", np.ones((3, 0, 4), np.float32), "blocks of 0 by 4 are empty"),
]


@pytest.mark.parametrize(("layout", "tensor", "array", "defect"), DAMAGE, ids=[each[3] for each in DAMAGE])
def test_damaged_tensors_are_named(layout: str, tensor: str, array: npt.NDArray[Any], defect: str) -> None:
    model = run_pass(PackWeights(layout=layout), weighted_model(matmul(), {"w": weight_of((16, 12))})).model
    model.graph.initializers[f"w_{tensor}"].const_value = ir.tensor(array)
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    name, call = ("bitmask", "PackedMaskMatMul") if layout == "bitmask" else ("block", "PackedBlockMatMul")
    assert str(caught.value) == f"packed-{name}: node 'fc' ({call}): {defect} [GP351]"


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("block 5x1", "w: has 12 outputs and 16 inputs, no multiples of 5 and 1 [GP349]"),
        ("block 1x3", "w: has 12 outputs and 16 inputs, no multiples of 1 and 3 [GP349]"),
        ("block 12x16", "w: takes 780 bytes in block 12x16, and 768 as it is [GP348]"),
        ("bitmask", "w: 144 of 192 elements are zero, fewer than 90.0% [GP340]"),
    ],
)
def test_what_does_not_fit_says_why_and_stays(layout: str, reason: str) -> None:
    weight = np.zeros((16, 12), np.float32)
    weight[::4] = 1
    result = run_pass(PackWeights(layout=layout, min_sparsity=0.9), weighted_model(matmul(), {"w": weight}))
    assert [str(skip) for skip in result.skips] == [reason]


@pytest.mark.parametrize(
    ("block", "zeros", "expected"),
    [((1, 1), 0.9, "bitmask"), ((1, 1), 0.99, "rows"), ((8, 8), 0.9, "block 8x8"), ((16, 1), 0.9, "block 16x1")],
)
def test_auto_takes_the_smallest(block: tuple[int, int], zeros: float, expected: str) -> None:
    rng = np.random.default_rng(0)
    kept = rng.random((64 // block[1], 64 // block[0])) >= zeros  # a MatMul has its inputs first
    weight = np.repeat(np.repeat(kept, block[1], axis=0), block[0], axis=1) * rng.standard_normal((64, 64))
    model = weighted_model(matmul().replace("16", "64").replace("12", "64"), {"w": weight.astype(np.float32)})
    result = run_pass(PackWeights(), model)
    assert [rewrite.rule for rewrite in result.rewrites] == [expected]
    sizes = {layout: _bytes(model, layout) for layout in ("rows", "bitmask", "block 8x8", "block 16x1", "block 4x4")}
    assert sizes[expected] == min(sizes.values())


def _bytes(model: ir.Model, layout: str) -> int:
    packed = run_pass(PackWeights(layout=layout, min_sparsity=0.0), model).model
    sizes = [read_call(node).packed.nbytes for node in packed.graph if is_packed_call(node)]
    return sizes[0] if sizes else 64 * 64 * 4


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([(), (3,), (2, 3)]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_any_weight(outputs: int, inputs: int, kernel: tuple[int, ...], seed: int) -> None:
    shape = (4 * outputs, 4 * inputs, *kernel)
    weight = weight_of(shape, seed)
    x, w = ",".join(map(str, shape[1:])), ",".join(map(str, shape))
    y = "Conv (x, w)" if kernel else "Gemm <transB = 1> (x, w)"
    text = f"main (float[N,{x}] x, float[{w}] w) => (float[] y) {{ y = {y} }}"
    model = weighted_model(text, {"w": weight})
    for layout in ("bitmask", "block 4x4"):
        packed = run_pass(PackWeights(layout=layout, min_sparsity=0.0), model).model
        value = run_pass(UnpackWeights(), packed).model.graph.initializers["w"].const_value
        assert value is not None
        assert value.numpy().tobytes() == weight.tobytes()
