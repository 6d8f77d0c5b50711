"""Padding as ONNX Runtime computes it, from attributes alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.analysis.convolution import ConvolutionAttributes, convolution_attributes
from graphprune.backends.onnxruntime import session_for
from tests.weighted import weighted_model

TEXT = "main (float[1,1,{extent}] x, float[1,1,{size}] w) => (float[1,1,K] y) {{ y = Conv <{attributes}> (x, w) }}"


def conv(extent: int | str, size: int, attributes: str) -> ir.Model:
    return weighted_model(TEXT.format(extent=extent, size=size, attributes=attributes))


def read(model: ir.Model, size: int) -> ConvolutionAttributes | None:
    return convolution_attributes(model.graph.node(0), (size,))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("group = 1", ConvolutionAttributes((1,), (1,), (0, 0), 1)),
        ("pads = [1, 2], strides = [3], dilations = [2]", ConvolutionAttributes((3,), (2,), (1, 2), 1)),
        ('auto_pad = "VALID", strides = [2]', ConvolutionAttributes((2,), (1,), (0, 0), 1)),
        ('auto_pad = "SAME_UPPER"', ConvolutionAttributes((1,), (1,), (1, 2), 1)),
        ('auto_pad = "SAME_LOWER"', ConvolutionAttributes((1,), (1,), (2, 1), 1)),
        ('auto_pad = "SAME_UPPER", dilations = [2]', ConvolutionAttributes((1,), (2,), (3, 3), 1)),
    ],
)
def test_defaults_and_modes(attributes: str, expected: ConvolutionAttributes) -> None:
    assert read(conv(9, 4, attributes), 4) == expected


def test_an_open_extent_matters_only_with_a_stride() -> None:
    assert read(conv("N", 4, 'auto_pad = "SAME_UPPER"'), 4) is not None
    assert read(conv("N", 4, 'auto_pad = "SAME_UPPER", strides = [2]'), 4) is None


def test_an_unknown_input_shape_is_open() -> None:
    model = conv(9, 4, 'auto_pad = "SAME_UPPER", strides = [2]')
    model.graph.inputs[0].shape = None
    assert read(model, 4) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
def test_same_padding_is_onnx_runtimes(extent: int, size: int, stride: int, mode: str) -> None:
    model = conv(extent, size, f'auto_pad = "{mode}", strides = [{stride}]')
    found = read(model, size)
    if found is None:
        assert size < stride
        return
    explicit = conv(extent, size, f"pads = {list(found.pads)}, strides = [{stride}]")
    feed = {"x": np.random.default_rng(0).standard_normal((1, 1, extent)).astype(np.float32)}
    expected, padded = (session_for(each, optimize=False).run(None, feed)[0] for each in (model, explicit))
    np.testing.assert_array_equal(padded, expected)
