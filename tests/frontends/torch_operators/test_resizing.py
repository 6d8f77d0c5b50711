"""Resize, GridSample and AffineGrid against ONNX Runtime and torch; gradients; scales are no parameters."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphprune as gp
from graphprune.errors import UnsupportedModelError
from tests.frontends.torch_operators.checks import assert_gradients, assert_round_trip, assert_same
from tests.weighted import weighted_model


def resizing(attributes: str, operand: str, *, kind: str = "float", height: int = 5, width: int = 6) -> ir.Model:
    """An image resized; `operand` is the text of an initializer called `scales` or `sizes`."""
    inputs = "scales" if "scales" in operand else '"", sizes'
    return weighted_model(
        f"""main ({kind}[1,2,{height},{width}] x) => ({kind}[a,b,c,d] y) <{operand}> {{
            y = Resize <{attributes}> (x, "", {inputs})
        }}"""
    )


MODES = ("asymmetric", "align_corners", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from(MODES),
    nearest=st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]),
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_sizes_give_what_onnx_runtime_gives(mode: str, coordinates: str, nearest: str, sizes: tuple[int, int]) -> None:
    # These coordinates are whole numbers but for the last bit of single precision, which decides the floor.
    assume((mode, coordinates, nearest) != ("nearest", "half_pixel_symmetric", "floor") or not {2, 3} & set(sizes))
    attributes = f'mode = "{mode}", coordinate_transformation_mode = "{coordinates}", nearest_mode = "{nearest}"'
    model = resizing(attributes, f"int64[4] sizes = {{1, 2, {sizes[0]}, {sizes[1]}}}")
    assert_same(model, {"x": np.random.default_rng(0).standard_normal((1, 2, 5, 6)).astype(np.float32)})


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_single_element_is_the_first_one_of_half_pixels(mode: str) -> None:
    attributes = f'mode = "{mode}", coordinate_transformation_mode = "pytorch_half_pixel"'
    for sizes in ("1, 1", "1, 6", "7, 1"):
        model = resizing(attributes, f"int64[4] sizes = {{1, 2, {sizes}}}")
        assert_same(model, {"x": np.random.default_rng(0).standard_normal((1, 2, 5, 6)).astype(np.float32)})


SCALED = {
    "nearest": 'mode = "nearest"',
    "linear": 'mode = "linear"',
    "cubic": 'mode = "cubic", cubic_coeff_a = -0.5, exclude_outside = 1',
    "linear antialias": 'mode = "linear", antialias = 1',
    "cubic antialias": 'mode = "cubic", antialias = 1',
}


@pytest.mark.parametrize("scale", ["0.6", "2.0", "1.7"])
@pytest.mark.parametrize("attributes", SCALED.values(), ids=SCALED)
def test_scales_give_what_onnx_runtime_gives(attributes: str, scale: str) -> None:
    model = resizing(attributes, f"float[4] scales = {{1.0, 1.0, {scale}, {scale}}}")
    assert_same(model, {"x": np.random.default_rng(0).standard_normal((1, 2, 5, 6)).astype(np.float32)})


@pytest.mark.parametrize("attributes", SCALED.values(), ids=SCALED)
def test_gradients_agree_with_finite_differences(attributes: str) -> None:
    assert_gradients(resizing(attributes, "float[4] scales = {1.0, 1.0, 1.5, 0.7}", kind="double"))


def test_scales_are_numbers_and_no_parameters() -> None:
    model = resizing('mode = "linear"', "float[4] scales = {1.0, 1.0, 2.0, 2.0}")
    module = gp.to_torch(model)
    assert not module.state_dict()
    assert_round_trip(model)


def test_an_open_batch_stays_open() -> None:
    model = weighted_model(
        """main (float[N,2,4,4] x) => (float[N,2,8,8] y) <float[4] scales = {1.0, 1.0, 2.0, 2.0}> {
            y = Resize <mode = "linear"> (x, "", scales)
        }"""
    )
    exported = torch.export.export(
        gp.to_torch(model), (torch.zeros(3, 2, 4, 4),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    x = torch.randn(6, 2, 4, 4)
    expected = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(exported.module()(x), expected)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_is_that_of_onnx_runtime(mode: str, padding: str) -> None:
    model = weighted_model(
        f"""<ir_version: 10, opset_import: ["" : 20]>
        main (float[1,2,5,6] x, float[1,3,4,2] grid) => (float[1,2,3,4] y) {{
            y = GridSample <mode = "{mode}", padding_mode = "{padding}"> (x, grid)
        }}"""
    )
    rng = np.random.default_rng(0)
    grid = rng.uniform(-1.2, 1.2, (1, 3, 4, 2)).astype(np.float32)
    assert_same(model, {"x": rng.standard_normal((1, 2, 5, 6)).astype(np.float32), "grid": grid})


def test_gradients_of_grid_sample_agree_with_finite_differences() -> None:
    assert_gradients(
        weighted_model(
            """<ir_version: 10, opset_import: ["" : 20]>
            main (double[1,2,3] theta) => (double[1,2,3,4] y) <int64[4] size = {1, 2, 3, 4}> {
                x = ConstantOfShape <value: tensor = double[1] {2.0}> (size)
                grid = AffineGrid (theta, size)
                y = GridSample <mode = "linear"> (x, grid)
            }"""
        )
    )


def test_cubic_sampling_of_volumes_is_refused() -> None:
    model = weighted_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        main (float[1,2,3,3,3] x, float[1,2,2,2,3] grid) => (float[1,2,2,2,2] y) {
            [g] y = GridSample <mode = "cubic"> (x, grid)
        }"""
    )
    with pytest.raises(UnsupportedModelError, match=r"node 'g' \(GridSample\): torch has no cubic sampling .*GP131"):
        gp.to_torch(model)


def test_a_mode_that_onnx_does_not_have_is_refused() -> None:
    model = weighted_model(
        """main (float[1,1,4,4] x) => (float[1,1,8,8] y) <float[4] scales = {1.0, 1.0, 2.0, 2.0}> {
            [r] y = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, "", scales)
        }"""
    )
    with pytest.raises(UnsupportedModelError, match=r"node 'r' \(Resize\): coordinate_transformation_mode 'tf_.*GP131"):
        gp.to_torch(model)
