"""The bodies of soft masks: valid ONNX that gives torch's mask, in every pattern and type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.reference
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import checker, defs, inliner

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import PreconditionError
from graphprune.masked.calls import call_form
from graphprune.masked.functions import NAMES, OLDEST_OPSET, define, drop_unused_functions, function_text
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import Pattern, parse_pattern
from graphprune.masks.pdp import soft_masked
from graphprune.masks.temperature import Temperature, parse_temperature
from tests.weighted import weighted_model

AXES = [WeightAxes(0, 1), WeightAxes(1, 0)]
PATTERNS = ["unstructured", "2:4", "1:3", "3:8", "block 4x1", "block 2x4"]
SHAPES = [(16, 8), (8, 12, 3, 3)]
TYPES = ["float", "double", "float16", "bfloat16"]
ULP = {"float": 1e-6, "double": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}
"""Relative to the largest weight; for narrow types, one unit in the last place of the result."""


def mask_model(
    shape: tuple[int, ...], pattern: Pattern, axes: WeightAxes, temperature: Temperature, dtype: str, opset: int = 18
) -> ir.Model:
    """A model whose input is the weight, with float in and out so that ONNX Runtime takes every type."""
    name, attributes = call_form(pattern, axes)
    listed = ", ".join(
        f"{key} = {value}" for key, value in {"relative": int(temperature.relative), **attributes}.items()
    )
    outer = "double" if dtype == "double" else "float"
    narrow, wide = (int(getattr(ir.DataType, kind.upper())) for kind in (dtype, outer))
    extents = ",".join(map(str, shape))
    return ir.from_onnx_text(f"""<ir_version: 8, opset_import: ["" : {opset}, "graphprune" : 1]>
        g ({outer}[{extents}] x, double budget, double ratio) => ({outer}[{extents}] y)
            <{outer} temperature = {{{temperature.value}}}> {{
            weight = Cast <to = {narrow}> (x)
            masked = graphprune.{name} <{listed}> (weight, budget, ratio, temperature)
            y = Cast <to = {wide}> (masked)
        }}
        {function_text(name, opset)}""")


def masked(model: ir.Model, weight: npt.NDArray[Any], budget: float, ratio: float) -> npt.NDArray[Any]:
    feed = {"x": weight, "budget": np.array(budget, np.float64), "ratio": np.array(ratio, np.float64)}
    return session_for(model).run(None, feed)[0]


def torch_masked(
    weight: npt.NDArray[Any], pattern: Pattern, axes: WeightAxes, share: tuple[float, float], temperature: Temperature,
    dtype: str = "float",
) -> npt.NDArray[Any]:  # fmt: skip
    narrow: torch.dtype = getattr(torch, {"float": "float32", "double": "float64"}.get(dtype, dtype))
    tensor = torch.from_numpy(weight).to(narrow)
    found = soft_masked(tensor, pattern=pattern, axes=axes, budget=share[0], ratio=share[1], temperature=temperature)
    result: npt.NDArray[Any] = found.to(torch.float64).numpy()
    return result


def random_weight(shape: tuple[int, ...], dtype: str = "float") -> npt.NDArray[Any]:
    array = np.random.default_rng(0).normal(0, 0.05, shape)
    return array.astype(np.float64 if dtype == "double" else np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_operators(name: str) -> None:
    assert not defs.has(name)
    assert name.endswith("SoftMask")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("temperature", ["1e-4", "0.1t2"])
@pytest.mark.parametrize("axes", AXES, ids=["outputs first", "inputs first"])
@pytest.mark.parametrize("text", PATTERNS)
def test_the_mask_is_that_of_torch(text: str, axes: WeightAxes, temperature: str, dtype: str) -> None:
    pattern, tau = parse_pattern(text), parse_temperature(temperature)
    for shape in SHAPES:
        model = mask_model(shape, pattern, axes, tau, dtype)
        checker.check_model(ir.to_proto(model), full_check=True)
        weight = random_weight(shape, dtype)
        for ratio in (0.01, 0.3, 1):
            expected = torch_masked(weight, pattern, axes, (0.5, ratio), tau, dtype)
            found = masked(model, weight, 0.5, ratio)
            np.testing.assert_allclose(found, expected, rtol=ULP[dtype], atol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("text", PATTERNS)
def test_at_ratio_zero_it_is_the_weight(text: str, dtype: str) -> None:
    model = mask_model((8, 12, 3, 3), parse_pattern(text), AXES[0], Temperature(), dtype)
    weight = random_weight((8, 12, 3, 3), dtype)
    kinds = {"float16": torch.float16, "bfloat16": torch.bfloat16}
    narrowed = torch.from_numpy(weight).to(kinds[dtype]).float().numpy() if dtype in kinds else weight
    assert masked(model, weight, 0.9, 0.0).tobytes() == narrowed.tobytes()


@pytest.mark.parametrize("pruned", [0, 1, 2, 63, 64, 65, 126, 127])
def test_both_ends_of_the_order(pruned: int) -> None:
    weight = np.random.default_rng(1).permutation(np.linspace(-0.1, 0.1, 128, dtype=np.float32)).reshape(16, 8)
    tau = Temperature(1e-3)
    model = mask_model((16, 8), parse_pattern("unstructured"), AXES[0], tau, "float")
    order = np.sort(np.abs(weight), axis=None)
    limit = 0.5 * (order[pruned - 1] + order[pruned]).astype(np.float64)
    mask = 1 / (1 + np.exp((limit**2 - weight.astype(np.float64) ** 2) / tau.value)) if pruned else 1
    np.testing.assert_allclose(masked(model, weight, pruned / 128, 1), mask * weight, atol=1e-6)


@given(budget=st.floats(0, 0.99), ratio=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_ties_and_counts_are_those_of_torch(budget: float, ratio: float, seed: int) -> None:
    weight = (np.random.default_rng(seed).integers(-3, 4, (5, 10)) * 0.01).astype(np.float32)
    for tau in (Temperature(1e-3), Temperature(1e-6)):
        expected = torch_masked(weight, parse_pattern("unstructured"), AXES[0], (budget, ratio), tau)
        np.testing.assert_allclose(masked(TIES[tau], weight, budget, ratio), expected, atol=1e-6)


TIES = {
    tau: mask_model((5, 10), parse_pattern("unstructured"), AXES[0], tau, "float")
    for tau in (Temperature(1e-3), Temperature(1e-6))
}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_counts_round_half_to_even(count: int) -> None:
    weight = np.linspace(0.01, 0.1, 10, dtype=np.float32).reshape(2, 5)
    model = mask_model((2, 5), parse_pattern("unstructured"), AXES[0], Temperature(1e-9), "float")
    share = (count + 0.5) / 10
    assert np.count_nonzero(masked(model, weight, share, 1) > 1e-6) == 10 - round(share * 10)


@pytest.mark.parametrize("text", PATTERNS)
def test_zeros_with_a_relative_temperature_give_no_nan(text: str) -> None:
    model = mask_model((8, 12), parse_pattern(text), AXES[0], Temperature(0.1, relative=True), "float")
    weight = np.zeros((8, 12), np.float32)
    weight[0, :5] = 1
    found = masked(model, weight, 0.5, 1)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1:], 0)
    assert (found[0, :4] >= 0.5).all()


def test_a_group_no_longer_than_it_keeps_stays() -> None:
    model = mask_model((1, 6), parse_pattern("2:4"), AXES[0], Temperature(1e-6), "float")
    weight = np.array([[0.4, 0.1, 0.2, 0.3, 0.01, 0.02]], np.float32)
    np.testing.assert_allclose(masked(model, weight, 0.5, 1), [[0.4, 0, 0, 0.3, 0.01, 0.02]], atol=1e-6)


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 18, 21])
@pytest.mark.parametrize("text", ["unstructured", "3:8", "block 4x1"])
def test_every_operator_set_gives_the_same(text: str, opset: int) -> None:
    pattern, weight = parse_pattern(text), random_weight((8, 12, 3, 3))
    model = mask_model(weight.shape, pattern, AXES[0], Temperature(), "float", opset)
    checker.check_model(ir.to_proto(model), full_check=True)
    expected = torch_masked(weight, pattern, AXES[0], (0.5, 1), Temperature())
    np.testing.assert_allclose(masked(model, weight, 0.5, 1), expected, atol=1e-6)


@pytest.mark.parametrize("text", ["unstructured", "2:4", "block 4x1"])
def test_inlined_it_is_plain_onnx(text: str) -> None:
    pattern, weight = parse_pattern(text), random_weight((8, 12))
    model = mask_model(weight.shape, pattern, AXES[0], Temperature(), "float")
    plain = inliner.inline_local_functions(ir.to_proto(model))
    assert not plain.functions
    feed = {"x": weight, "budget": np.array(0.5), "ratio": np.array(1.0)}
    with np.errstate(all="ignore"):  # its sigmoid overflows where it is one
        (found,) = onnx.reference.ReferenceEvaluator(plain).run(None, feed)
    expected = torch_masked(weight, pattern, AXES[0], (0.5, 1), Temperature())
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-6)


def test_unused_functions_are_dropped_and_others_stay() -> None:
    model = weighted_model("main (float[N,2] x, float[2,2] w) => (float[N,2] y) { y = MatMul (x, w) }")
    for name in NAMES:
        define(model, name)
    other = ir.serde.deserialize_function(
        onnx.parser.parse_function(function_text(NAMES[0], 18).replace("Un", "Other"))
    )
    model.functions[other.identifier()] = other
    drop_unused_functions(model)
    assert list(model.functions) == [other.identifier()]
    del model.functions[other.identifier()]
    drop_unused_functions(model)
    assert "graphprune" not in model.graph.opset_imports


def test_an_older_operator_set_is_refused() -> None:
    model = weighted_model("main (float[N,2] x, float[2,2] w) => (float[N,2] y) { y = MatMul (x, w) }")
    model.graph.opset_imports[""] = 14
    with pytest.raises(PreconditionError, match=r"model has operator set 14, soft masks need 15 \[GP365\]"):
        define(model, "NMSoftMask")
