"""Transposed convolutions as convolutions of their phases, against ONNX Runtime's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from tests.backends.tvm.graphs import assert_equal_on, compile_, kernels, parse, pruned


def transposed(x: Sequence[int], weight: Sequence[int], *, constant: bool = True, **attributes: Any) -> ir.Model:  # noqa: ANN401 - as onnx types them
    """A model of one ConvTranspose with a bias; weight and bias are constants, or inputs."""
    outputs = weight[1] * int(attributes.get("group", 1))
    node = onnx.helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)
    shapes = {"x": x, "w": weight, "b": [outputs]}
    known = ("w", "b") if constant else ()
    rng = np.random.default_rng(len(x) + sum(weight))
    constants = [
        onnx.numpy_helper.from_array(rng.standard_normal(shapes[name]).astype(np.float32), name) for name in known
    ]
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
        if name not in known
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", inputs, [output], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


def check(model: ir.Model) -> None:
    rng = np.random.default_rng(1)
    feed = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        feed[str(value.name)] = rng.standard_normal(value.shape.numpy()).astype(np.float32)
    assert_equal_on(feed, model, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(24))
def test_random_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank, group = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2]))
    kernel, strides, dilations = (rng.integers(1, most, rank).tolist() for most in (6, 5, 3))
    extra = [int(rng.integers(0, stride)) for stride in strides]
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    cuts = [int(rng.integers(0, most // 2 + 2)) for most in (*reach, *reach)]
    x = (int(rng.integers(1, 3)), 3 * group, *rng.integers(4, 8, rank).tolist())
    weight = (3 * group, int(rng.integers(1, 4)), *kernel)
    attributes = {"strides": strides, "dilations": dilations, "pads": cuts, "output_padding": extra, "group": group}
    check(transposed(x, weight, **attributes))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("constant", [True, False])
def test_automatic_pads_and_weights_at_run_time(mode: str, constant: bool) -> None:  # noqa: FBT001
    check(transposed((1, 2, 5, 6), (2, 3, 3, 4), constant=constant, strides=[2, 3], auto_pad=mode))


def test_more_is_cut_at_the_start_than_a_window_reaches() -> None:
    check(transposed((1, 2, 9), (2, 3, 2), strides=[2], pads=[7, 0]))
    check(transposed((1, 2, 9), (2, 3, 2), strides=[2], pads=[0, 7]))


def test_only_padding_of_the_output_is_left() -> None:
    model = transposed((1, 1, 2), (1, 1, 2), strides=[2], pads=[4, 0], output_padding=[1])
    with pytest.raises(UnsupportedModelError, match=r"ConvTranspose.*GP401"):
        compile_(model)
    check(transposed((1, 1, 2), (1, 1, 2), strides=[2], pads=[3, 0], output_padding=[1]))


TEXT = "g (float[1,16,20,20] x) => (float[1,16,40,40] y) { y = ConvTranspose<strides=[2,2],%s>(x,w) }"
SHARED = TEXT % "pads=[1,1,1,1]"
UNEVEN = TEXT % "pads=[1,1,1,1],output_padding=[1,1]"


def test_phases_of_as_many_taps_are_one_convolution() -> None:
    names = kernels(parse(SHARED, {"w": (16, 16, 4, 4)}))
    assert names.count("dense") == 1


def test_phases_of_unlike_taps_are_convolutions_of_their_own() -> None:
    names = kernels(parse(UNEVEN, {"w": (16, 16, 3, 3)}))
    assert names.count("dense") == 4


def test_zeros_between_phases_are_skipped_in_one_convolution() -> None:
    names = kernels(parse(UNEVEN, {"w": pruned(16, 16, 3, 3, zeros=0.9)}))
    assert names.count("dense") == 1  # packed, it is one sparse kernel
    check(parse(UNEVEN, {"w": pruned(16, 16, 3, 3, zeros=0.9)}))
