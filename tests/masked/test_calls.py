"""Soft-mask calls: their form both ways, and what was damaged since they were made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.masked.calls import call_form, is_mask_call, mask_calls
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.temperature import Temperature
from graphprune.passes.base import run_pass
from graphprune.passes.insert_soft_masks import InsertSoftMasks
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.stages.verification import verify_stage
from tests.weighted import weighted_model

TEXT = "main (float[N,8] x, float[8,16] w) => (float[N,16] y) { [fc] y = MatMul (x, w) }"


def masked(pattern: str = "unstructured", temperature: str = "1e-4", text: str = TEXT) -> ir.Model:
    model = weighted_model(text)
    recipe = Recipe(pattern=pattern) if ":" in pattern else Recipe(pattern=pattern, sparsity=0.5)
    return run_pass(InsertSoftMasks(plan(model, recipe), temperature=temperature, ratio=0.5), model).model


def call_of(model: ir.Model) -> ir.Node:
    return next(node for node in model.graph if is_mask_call(node))


def set_scalar(name: str, array: Any) -> Callable[[ir.Model], None]:  # noqa: ANN401 - whatever NumPy takes
    def edit(model: ir.Model) -> None:
        model.graph.initializers[f"w_{name}"].const_value = ir.tensor(array)

    return edit


def set_attribute(name: str, number: int) -> Callable[[ir.Model], None]:
    return lambda model: call_of(model).attributes.update({name: ir.AttrInt64(name, number)})


def drop_attribute(name: str) -> Callable[[ir.Model], None]:
    def edit(model: ir.Model) -> None:
        del call_of(model).attributes[name]

    return edit


@pytest.mark.parametrize("temperature", ["1e-4", "0.1t2"])
@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block 2x4"])
def test_a_call_is_read_as_it_was_planned(pattern: str, temperature: str) -> None:
    (call,) = mask_calls(masked(pattern, temperature))
    assert (call.name, str(call.pattern), call.budget, call.ratio) == ("w", pattern, 0.5, 0.5)
    assert call.temperature.relative == temperature.endswith("t2")
    assert call.temperature.value == pytest.approx(0.1 if call.temperature.relative else 1e-4)
    assert call.pruned == 64


@pytest.mark.parametrize("axes", [WeightAxes(0, 1), WeightAxes(1, 0)])
def test_the_form_has_what_the_pattern_asks_for(axes: WeightAxes) -> None:
    assert call_form(parse_pattern("unstructured"), axes) == ("UnstructuredSoftMask", {})
    nm = {"keep": 2, "of": 4, "input_axis": axes.input}
    assert call_form(parse_pattern("2:4"), axes) == ("NMSoftMask", nm)
    block = {"rows": 4, "columns": 2, "output_axis": axes.output, "input_axis": axes.input}
    assert call_form(parse_pattern("block 4x2"), axes) == ("BlockSoftMask", block)


@pytest.mark.parametrize(
    ("scalar", "value", "range_"),
    [
        ("budget", 1.0, "[0, 1)"),
        ("budget", -0.1, "[0, 1)"),
        ("budget", np.nan, "[0, 1)"),
        ("ratio", 1.5, "[0, 1]"),
        ("ratio", -1.0, "[0, 1]"),
        ("ratio", np.nan, "[0, 1]"),
        ("temperature", np.float32(0), "a positive number"),
        ("temperature", np.float32(-1), "a positive number"),
        ("temperature", np.float32(np.inf), "a positive number"),
    ],
)
def test_a_scalar_out_of_range_is_named(scalar: str, value: float, range_: str) -> None:
    model = masked()
    set_scalar(scalar, np.array(value))(model)
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    given = f"{float(value):g}"
    message = f"mask-range: node 'w_mask' (UnstructuredSoftMask): its {scalar} is {given}, expected {range_} [GP361]"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("scalar", "array", "reason"),
    [
        ("budget", np.array(0.5, np.float32), "its budget holds float, expected double"),
        ("ratio", np.array([0.5]), r"its ratio has shape \[1\], expected a scalar"),
        ("temperature", np.array(1e-4), "its temperature holds double, expected float"),
    ],
)
def test_a_scalar_of_another_type_or_shape_is_named(scalar: str, array: Any, reason: str) -> None:  # noqa: ANN401
    model = masked()
    set_scalar(scalar, array)(model)
    with pytest.raises(UnsupportedModelError, match=rf"mask-constants: node 'w_mask' .*: {reason} \[GP360\]"):
        verify_stage(model)


@pytest.mark.parametrize(("index", "name"), [(0, "weight"), (1, "budget"), (2, "ratio"), (3, "temperature")])
def test_an_input_that_is_computed_or_missing_is_named(index: int, name: str) -> None:
    model = masked()
    call_of(model).replace_input_with(index, model.graph.inputs[0])
    with pytest.raises(UnsupportedModelError, match=rf"its {name} is not a constant \[GP360\]"):
        verify_stage(model)
    call_of(model).resize_inputs(index)
    with pytest.raises(UnsupportedModelError, match=r"is not a constant \[GP360\]"):
        verify_stage(model)


def test_a_weight_of_integers_is_named() -> None:
    model = masked()
    model.graph.initializers["w"].const_value = ir.tensor(np.ones((8, 16), np.int8))
    reason = "its weight holds int8, expected float or float16 or double or bfloat16"
    with pytest.raises(UnsupportedModelError, match=rf"{reason} \[GP360\]"):
        verify_stage(model)


@pytest.mark.parametrize(
    ("pattern", "edit", "reason"),
    [
        ("2:4", set_attribute("of", 9), "8 input channels, fewer than the 9 of one group"),
        ("2:4", set_attribute("keep", 4), "pattern '4:4' keeps 4 of 4"),
        ("2:4", set_attribute("input_axis", 2), "axes 0 and 2, expected two different ones of 2"),
        ("2:4", drop_attribute("keep"), "it has no attribute 'keep'"),
        ("2:4", set_scalar("budget", np.array(0.9)), "budget 0.9, but pattern '2:4' makes 64 zeros of 128"),
        ("block 2x4", set_attribute("rows", 3), "no multiple of 3 by 4"),
        ("block 2x4", set_attribute("rows", 0), "pattern 'block 0x4' has empty blocks"),
        ("block 2x4", set_attribute("output_axis", 0), "axes 0 and 0, expected two different ones of 2"),
        ("unstructured", set_scalar("budget", np.array(0.999)), "128 elements, of which all would go at budget 0.999"),
    ],
)
def test_a_call_that_does_not_fit_is_named(pattern: str, edit: Callable[[ir.Model], None], reason: str) -> None:
    model = masked(pattern)
    edit(model)
    with pytest.raises(UnsupportedModelError, match=r"mask-form: node 'w_mask' .* \[GP362\]") as caught:
        verify_stage(model)
    assert reason in str(caught.value)


def test_a_reader_past_the_mask_is_named() -> None:
    text = "main (float[N,8] x, float[8,8] w) => (float[N,8] y) { a = MatMul (x, w) [two] y = MatMul (a, w) }"
    model = masked(text=text)
    two = next(node for node in model.graph if node.name == "two")
    two.replace_input_with(1, model.graph.initializers["w"])
    with pytest.raises(
        UnsupportedModelError, match=r"node 'two' \(MatMul\) reads the weight 'w' past its mask \[GP364\]"
    ):
        verify_stage(model)


def test_a_masked_value_that_is_an_output_is_named() -> None:
    model = masked()
    model.graph.outputs.append(call_of(model).outputs[0])
    with pytest.raises(UnsupportedModelError, match=r"the weight 'w' or its masked value is a graph output \[GP364\]"):
        verify_stage(model)


def test_another_version_is_refused() -> None:
    model = masked()
    model.graph.opset_imports["graphprune"] = 2
    with pytest.raises(UnsupportedModelError) as caught:
        verify_stage(model)
    assert str(caught.value) == "mask-version: soft masks are of version 2, this graphprune reads 1 [GP363]"


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16", "double"])
def test_the_temperature_has_the_type_of_the_mask(dtype: str) -> None:
    model = masked(text=TEXT.replace("float", dtype))
    (call,) = mask_calls(model)
    wide = np.float64 if dtype == "double" else np.float32
    tensor = model.graph.initializers["w_temperature"].const_value
    assert tensor is not None
    assert tensor.numpy().dtype == wide
    narrow = {"float": np.float32, "double": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    assert call.tensor.numpy().dtype == narrow
    assert call.temperature == Temperature(float(wide(1e-4)))
