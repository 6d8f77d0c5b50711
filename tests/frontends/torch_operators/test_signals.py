"""Fourier transforms and Col2Im, against NumPy and ONNX Runtime; gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphprune as gp
from tests.frontends.torch_operators.checks import assert_gradients, assert_same, outputs
from tests.weighted import weighted_model


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("onesided", [0, 1])
def test_the_transform_of_a_real_signal(opset: int, onesided: int) -> None:
    call = f"DFT <axis = 1, onesided = {onesided}> (x)" if opset < 20 else f'DFT <onesided = {onesided}> (x, "", axis)'
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
    main (float[2,8,1] x) => (float[2,n,2] y) <int64 axis = {{1}}> {{ y = {call} }}"""
    x = np.random.default_rng(0).standard_normal((2, 8, 1)).astype(np.float32)
    (found,) = outputs(gp.to_torch(weighted_model(text)), {"x": x})
    expected = (np.fft.rfft if onesided else np.fft.fft)(x[..., 0], axis=1)
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, rtol=1e-5, atol=1e-5)


def test_the_inverse_gives_the_signal_back() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    main (double[2,5,3,2] x) => (double[2,5,3,2] y) <int64 axis = {1}> {
        f = DFT (x, "", axis)
        y = DFT <inverse = 1> (f, "", axis)
    }"""
    module = gp.to_torch(weighted_model(text))
    x = torch.randn(2, 5, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(module(x), x)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_halves_are_transformed_in_float32(kind: torch.dtype) -> None:
    name = str(kind).removeprefix("torch.")
    module = gp.to_torch(weighted_model(f"main ({name}[2,6,1] x) => ({name}[2,6,2] y) {{ y = DFT <axis = 1> (x) }}"))
    x = torch.randn(2, 6, 1).to(kind)
    expected = torch.view_as_real(torch.fft.fft(x[..., 0].float(), dim=1)).to(kind)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


COLUMNS = """main ({kind}[1,8,6] x) => ({kind}[1,2,h,v] y) <int64[2] image = {{5, 4}}, int64[2] block = {{2, 2}}> {{
    y = Col2Im <strides = [2, 1], pads = [0, 0, 0, 0]> (x, image, block)
}}"""


def test_columns_become_an_image_as_in_onnx_runtime() -> None:
    assert_same(weighted_model(COLUMNS.format(kind="float")))


def test_gradients_agree_with_finite_differences() -> None:
    assert_gradients(weighted_model(COLUMNS.format(kind="double")))
    text = """main (double[1,4,1] x) => (double[1,3,2] y) { y = DFT <axis = 1, onesided = 1> (x) }"""
    assert_gradients(weighted_model(text))
