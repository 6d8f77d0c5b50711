"""Values at the edges of operators: a range of nothing, and numbers without axes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

import graphprune as gp
from graphprune.passes import FoldConstants
from graphprune.passes.base import run_pass
from tests.frontends.torch_operators.checks import assert_same, outputs
from tests.weighted import inferred_model


def test_the_scale_of_zeros_is_one() -> None:
    text = "main (float[2,3] x) => (uint8[2,3] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear (x) }"
    for values in (np.zeros((2, 3)), np.full((2, 3), 0.5)):
        assert_same(inferred_model(text), {"x": values.astype(np.float32)})


def test_a_number_of_a_shape_stays_one_when_it_is_reduced() -> None:
    text = """main (float[2,3] x) => (int64 y, int64[1] z) {
        n = Size (x) m = Neg (n) y = ReduceProd (m) s = Shape (x) z = ReduceProd (s) }"""
    assert_same(inferred_model(text), {"x": np.ones((2, 3), np.float32)})


def test_an_axis_named_twice_is_reduced_once() -> None:
    text = """main (float[3,4] x) => (float[3,1] y, float[1,1] z) <int64[2] one = {1,1}, int64[3] all = {-1,0,1}> {
        y = ReduceMean (x, one) z = ReduceSum (x, all) }"""
    assert_same(inferred_model(text), {"x": np.arange(12, dtype=np.float32).reshape(3, 4)})


@pytest.mark.parametrize(
    ("call", "shape"),
    [("Tile (t, two)", "2"), ("Expand (t, two)", "2"), ("Reshape (t, square)", "1,1"), ("Unsqueeze (t, zero)", "1,1")],
)
def test_truths_about_shapes_stay_truths(call: str, shape: str) -> None:
    text = f"""main (float[2,3] x) => (bool[{shape}] y)
        <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[2] square = {{1, 1}}> {{
        s = Size (x) t = Less (zero, s) y = {call} }}"""
    (found,) = outputs(gp.to_torch(inferred_model(text)), {"x": np.zeros((2, 3), np.float32)})
    assert found.dtype == np.bool_
    assert found.all()


@pytest.mark.parametrize("operator", ["Elu", "Selu"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_negative_halves_are_not_lost(operator: str, dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    version = f'<ir_version: 10, opset_import: ["" : 22]> main ({name}[2] x) => ({name}[2] y)'
    x = torch.tensor([-5.8e-4, -1e-3], dtype=dtype)
    found = gp.to_torch(inferred_model(f"{version} {{ y = {operator} (x) }}"))(x)
    factor = 1.7581 if operator == "Selu" else 1
    torch.testing.assert_close(found, factor * torch.expm1(x.double()), rtol=0.01, atol=0, check_dtype=False)


def test_the_mean_of_no_integers_is_zero() -> None:
    text = """main (int64[2,0] x) => (int64[2] y, int64[1,1] z) <int64[1] a = {1}> {
        y = ReduceMean <keepdims = 0> (x, a) z = ReduceMean (x) }"""
    model = inferred_model(text)
    x = np.zeros((2, 0), np.int64)
    found = outputs(gp.to_torch(model), {"x": x})
    value = model.graph.inputs.pop()
    value.const_value = ir.tensor(x)
    model.graph.register_initializer(value)
    for result in (found, gp.compile(model).run(None, {})):
        assert [each.tolist() for each in result] == [[0, 0], [[0]]]
        assert {each.dtype for each in result} == {np.dtype(np.int64)}


def test_the_product_of_no_axes_of_a_shape_is_the_shape() -> None:
    text = """main (float[2,3] x) => (int64[2] y, int64[1] z) {
        s = Shape (x) y = ReduceProd <noop_with_empty_axes = 1> (s) z = ReduceProd (s) }"""
    assert_same(inferred_model(text), {"x": np.zeros((2, 3), np.float32)})


def test_a_region_is_of_no_use_but_for_crops() -> None:
    text = """main (float[1,1,4,4] x) => (float[1,1,2,2] y) <float[4] s = {1,1,0.6,0.6}> {
        y = Resize <antialias = 1, mode = "cubic"> (x, s, s) }"""
    assert_same(inferred_model(text), {"x": np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)})


def test_remainders_of_huge_quotients() -> None:
    x = np.array([3.4e38] * 16 + [-3.4e38] * 16 + [7.5], np.float32)
    y = np.array([0.5] * 8 + [1e-44] * 16 + [3] * 9, np.float32)
    text = f"main (float[{x.size}] x, float[{x.size}] y) => (float[{x.size}] z) {{ z = Mod <fmod = 1> (x, y) }}"
    assert_same(inferred_model(text), {"x": x, "y": y})
    wide_x = np.array([1.7e308] * 8 + [-1.7e308] * 8 + [5e-324, 7.5, np.inf, 3], np.float64)
    wide_y = np.array([0.127] * 8 + [5e-324] * 4 + [-3.7e-310] * 4 + [1e-320, -2, 2, np.inf], np.float64)
    text = text.replace("float[", "double[").replace(f"[{x.size}]", f"[{wide_x.size}]")
    found = gp.to_torch(inferred_model(text))(torch.from_numpy(wide_x), torch.from_numpy(wide_y)).numpy()
    np.testing.assert_array_equal(found, np.fmod(wide_x, wide_y))


@pytest.mark.parametrize("bounds", [(5, 2, 1), (2, 5, -1), (3, 3, 1), (7, 1, -2), (1, 8, 3)])
def test_a_range_that_leads_away_has_no_elements(bounds: tuple[int, ...]) -> None:
    text = "main (int16 a, int16 b, int16 c) => (int16[n] y) { y = Range (a, b, c) }"
    found = gp.to_torch(inferred_model(text))(*(torch.tensor(bound, dtype=torch.int16) for bound in bounds))
    assert found.tolist() == list(range(*bounds))
    assert found.dtype == torch.int16


def test_a_step_as_long_as_can_be() -> None:
    text = "main (int64 a, int64 b, int64 c) => (int64[n] y) { y = Range (a, b, c) }"
    found = gp.to_torch(inferred_model(text))(*map(torch.tensor, (3, -6, -(2**63) + 1)))
    assert found.tolist() == [3]


@pytest.mark.parametrize("bounds", [(0.5, 2.25, 0.25), (1, 0.1, -0.3), (1, 5, -1)])
def test_a_range_of_floats(bounds: tuple[float, ...]) -> None:
    text = "main (float a, float b, float c) => (float[n] y) { y = Range (a, b, c) }"
    found = gp.to_torch(inferred_model(text))(*map(torch.tensor, map(float, bounds)))
    np.testing.assert_allclose(found.numpy(), np.arange(*bounds, dtype=np.float32), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squares_of_small_halves_are_not_lost(dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    text = f"main ({name}[2] x) => ({name}[2] y) {{ y = ReduceL2 <keepdims = 0, noop_with_empty_axes = 1> (x) }}"
    x = torch.tensor([1.1e-5, 3e4], dtype=dtype)
    assert torch.equal(gp.to_torch(inferred_model(text))(x), x)


def test_powers_of_small_halves_are_not_lost() -> None:
    x = torch.tensor([[[1.1e-5, 3e4]]], dtype=torch.float16)
    text = "main (float16[1,1,2] x) => (float16[1,1,2] y) { y = LpPool <kernel_shape = [1]> (x) }"
    assert torch.equal(gp.to_torch(inferred_model(text))(x), x)


def test_places_in_images_of_halves_are_computed_in_float32() -> None:
    """3/128 is the place 153.004 of 300 pixels, which bfloat16 rounds to 154 on the way."""
    text = """<ir_version: 10, opset_import: ["" : 22]>
    main (bfloat16[1,1,1,300] x, bfloat16[1,1,1,2] p) => (bfloat16[1,1,1,1] y) {
        y = GridSample <mode = "nearest", align_corners = 1> (x, p) }"""
    x, place = torch.arange(300.0).bfloat16(), torch.tensor([3 / 128, 0.0]).bfloat16()
    found = gp.to_torch(inferred_model(text))(x.reshape(1, 1, 1, 300), place.reshape(1, 1, 1, 2))
    assert found.item() == 153


def test_batch_normalization_of_a_vector_is_of_one_channel() -> None:
    text = "main (float[5] x, float[1] s, float[1] v) => (float[5] y) { y = BatchNormalization (x, s, s, s, v) }"
    one = np.array([0.5], np.float32)
    assert_same(inferred_model(text), {"x": np.arange(5, dtype=np.float32), "s": one, "v": one})


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16"])
def test_the_value_of_a_pad_may_be_a_vector_of_one(dtype: str) -> None:
    text = f"""main ({dtype}[1] x) => ({dtype}[3] y) <int64[2] p = {{2,0}}, float[1] h = {{0.5}}> {{
        v = CastLike (h, x) y = Pad (x, p, v) }}"""
    module = gp.to_torch(run_pass(FoldConstants(), inferred_model(text)).model)
    x = torch.ones(1, dtype={"float": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[dtype])
    assert torch.equal(module(x), torch.tensor([0.5, 0.5, 1], dtype=x.dtype))


def test_levels_of_16_bits_are_more_than_a_half_holds() -> None:
    text = "main (uint16[2] x, float16 s) => (float16[2] y) { y = DequantizeLinear (x, s) }"
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    assert_same(model, {"x": np.array([65535, 7], np.uint16), "s": np.array(0.25, np.float16)})
