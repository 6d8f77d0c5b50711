"""Inferred lengths are those that ONNX Runtime computes, wherever onnx's own inference says others."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune.passes.shape_inference import infer_shapes


def read(text: str, opset: int = 18, /, **weights: np.ndarray) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return ir.from_proto(proto)


def lengths(model: ir.Model) -> list[tuple[int, ...]]:
    infer_shapes(model)
    return [tuple(value.shape.numpy()) for value in model.graph.outputs if value.shape is not None]


def computed(model: ir.Model, size: int) -> list[tuple[int, ...]]:
    feed = {"x": np.ones((1, 1, size), np.float32)}
    return [array.shape for array in session_for(model, optimize=False).run(None, feed)]


SCALES = {
    "an initializer": ("y = Resize(x,,s)", {"s"}),
    "a constant": ("s = Constant<value_floats=[1.0, 1.0, 1.9]>() y = Resize(x,,s)", set()),
    "one axis": ("t = Constant<value_floats=[1.9]>() y = Resize<axes=[-1]>(x,,t)", set()),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_multiplies_in_single_precision(name: str) -> None:
    body, weights = SCALES[name]
    for size in (5, 10, 20, 27):
        scales = dict.fromkeys(weights, np.array([1, 1, 1.9], np.float32))
        model = read(f"g (float[1,1,{size}] x) => (float[1,1,n] y) {{ {body} }}", 18, **scales)
        assert lengths(model) == computed(model, size)


def test_a_scale_of_an_old_upsample() -> None:
    model = read("g (float[1,1,5] x) => (float[1,1,n] y) { y = Upsample<scales=[1.0,1.0,1.4]>(x) }", 7)
    assert lengths(model) == computed(model, 5) == [(1, 1, 7)]


def test_lengths_follow_from_corrected_lengths() -> None:
    text = "g (float[1,1,10] x) => (float[1,1,n] y) { a = Resize(x,,s) b = Relu(a) y = Resize(b,,s) }"
    model = read(text, s=np.array([1, 1, 1.9], np.float32))
    assert lengths(model) == computed(model, 10) == [(1, 1, 36)]


def test_a_declared_length_is_compared_with_the_corrected_one() -> None:
    scales = np.array([1, 1, 1.9], np.float32)
    infer_shapes(read("g (float[1,1,10] x) => (float[1,1,19] y) { y = Resize(x,,s) }", s=scales))
    with pytest.raises(UnsupportedModelError, match=r"\(19\) vs \(18\) \[GP262\]$"):
        infer_shapes(read("g (float[1,1,10] x) => (float[1,1,18] y) { y = Resize(x,,s) }", s=scales))


def test_an_open_extent_stays_open() -> None:
    model = read("g (float[1,c,n] x) => (float[1,c,m] y) { y = Resize(x,,s) }", s=np.array([1, 1, 1.9], np.float32))
    infer_shapes(model)
    assert str(model.graph.outputs[0].shape) == "[1,c,m]"


@pytest.mark.parametrize(
    ("operator", "opset"), [("MaxPool", 10), ("AveragePool", 11), ("AveragePool", 19), ("LpPool", 18), ("LpPool", 22)]
)
def test_no_window_begins_behind_the_input(operator: str, opset: int) -> None:
    for size, kernel, stride in itertools.product((8, 11, 12, 13), (1, 2, 3), (2, 3, 4)):
        for pads in (
            "pads=[0,0]",
            *(["pads=[1,0]", "pads=[0,1]", "pads=[1,1]"] if kernel > 1 else []),
            'auto_pad="VALID"',
        ):
            attributes = f"kernel_shape=[{kernel}], strides=[{stride}], ceil_mode=1, {pads}"
            model = read(f"g (float[1,1,{size}] x) => (float[1,1,n] y) {{ y = {operator}<{attributes}>(x) }}", opset)
            assert lengths(model) == computed(model, size), attributes


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_what_exceeds_input_times_stride_is_cut(mode: str, extra: int) -> None:
    for kernel, stride in itertools.product((1, 2, 3, 4), (2, 3)):
        attributes = f'strides=[{stride}], output_padding=[{extra}], auto_pad="{mode}"'
        text = f"g (float[1,1,5] x) => (float[1,2,n] y) {{ y = ConvTranspose<{attributes}>(x, w) }}"
        model = read(text, w=np.ones((1, 2, kernel), np.float32))
        assert lengths(model) == computed(model, 5), (kernel, stride)
