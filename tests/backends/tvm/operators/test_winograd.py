"""Convolutions by transformed tiles: which ones, any shape, their epilogue, and how far they are from exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.tvm.kernels.builder import WIDE_L1_BYTES
from graphprune.backends.tvm.kernels.pad import Window
from graphprune.backends.tvm.kernels.winograd import transform_filters, winograd_layout
from graphprune.backends.tvm.lowering.graph import constant_array
from graphprune.backends.tvm.operators import winograd
from graphprune.backends.tvm.operators.weights import dense_weight
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import assert_equal, compile_, kernels, parse, pruned
from tests.backends.tvm.kernels.harness import V4

WINOGRAD = ["winograd_input", "dense", "winograd_output"]

WITH_RESIDUAL = """g (float[2,48,15,18] x, float[2,15,18,40] r) => (float[2,40,15,18] y) {
    t = Transpose<perm=[0,3,1,2]>(r)
    c = Conv<pads=[1,1,1,1]>(x,w,b)
    a = Add(c,t)
    m = Mul(a,s)
    y = Relu(m)
}"""


def convolution(shape: tuple[int, int, int, int], outputs: int, pads: tuple[int, int, int, int]) -> ir.Model:
    images, channels, height, width = shape
    output = (images, outputs, height + pads[0] + pads[2] - 2, width + pads[1] + pads[3] - 2)
    text = f"g (float{list(shape)} x) => (float{list(output)} y) {{ y = Conv<pads={list(pads)}>(x,w) }}"
    return parse(text, {"w": (outputs, channels, 3, 3)})


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    outputs=st.integers(1, 30),
    pads=st.tuples(*[st.integers(1, 3)] * 4),
    target=st.sampled_from(["native", "x86-64-v3"]),
    threads=st.integers(1, 2),
)
def test_any_shape(
    shape: tuple[int, int, int, int], outputs: int, pads: tuple[int, int, int, int], target: str, threads: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "share_of_dense", lambda *_: 0.0)
        model = convolution(shape, outputs, pads)
        assert kernels(model) == WINOGRAD
        assert_equal(compile_(model, target, threads), model)


@pytest.mark.parametrize("threads", [1, 2])
def test_bias_and_region_follow(threads: int) -> None:
    model = parse(WITH_RESIDUAL, {"w": (40, 48, 3, 3), "b": (40,), "s": (40, 1, 1)})
    assert kernels(model) == WINOGRAD
    assert_equal(compile_(model, threads=threads), model)


@pytest.mark.parametrize(
    ("attributes", "weight", "output"),
    [
        pytest.param("strides=[2,2]", (64, 64, 3, 3), (6, 6), id="stride"),
        pytest.param("dilations=[2,2]", (64, 64, 3, 3), (10, 10), id="dilation"),
        pytest.param("group=2", (64, 32, 3, 3), (12, 12), id="groups"),
        pytest.param("pads=[0,0,0,0]", (64, 64, 5, 5), (10, 10), id="another kernel"),
        pytest.param("pads=[0,0,0,0]", (2, 64, 3, 3), (12, 12), id="few channels"),
    ],
)
def test_others_are_computed_directly(attributes: str, weight: tuple[int, ...], output: tuple[int, int]) -> None:
    shape = [1, weight[0], *output]
    model = parse(f"g (float[1,64,14,14] x) => (float{shape} y) {{ y = Conv<{attributes}>(x,w) }}", {"w": weight})
    assert "winograd_input" not in kernels(model)
    assert_equal(compile_(model), model)


@pytest.mark.parametrize(("zeros", "expected"), [(0.35, "winograd"), (0.9, "rows")])
def test_few_zeros_save_less_than_the_transform(zeros: float, expected: str) -> None:
    text = "g (float[1,64,28,28] x) => (float[1,64,28,28] y) { y = Conv<pads=[1,1,1,1]>(x,w) }"
    model = parse(text, {"w": pruned(64, 64, 3, 3, zeros=zeros)})
    session = compile_(run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model).model)
    (note,) = session.kernels
    assert note.kernel == expected
    assert_equal(session, model)


def test_filters_of_many_channels_cost_their_bytes_where_arithmetic_is_fast() -> None:
    """They are 16/9 as many bytes, used for few tiles."""
    window = Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1))
    layout = winograd_layout(window, 512, 7, 7, V4.lanes)
    weight = dense_weight(np.ones((512, 512, 9), np.float32))
    wide = replace(V4, l1_bytes=WIDE_L1_BYTES)
    shares = [winograd.share_of_dense(layout, weight, machine) for machine in (V4, wide)]
    np.testing.assert_allclose(shares, [0.53, 0.98], atol=0.01)


def test_filters_are_transformed_as_in_the_paper() -> None:
    weight = np.random.default_rng(0).standard_normal((2, 3, 9)).astype(np.float32)
    transformed = transform_filters(weight).reshape(4, 4, 2, 3)
    half = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(transformed[:, :, 1, 2], half @ weight[1, 2].reshape(3, 3) @ half.T, rtol=1e-6)


def test_the_error_is_that_of_single_precision() -> None:
    """At most a few times the error of adding up the products one after another."""
    model = convolution((1, 256, 14, 14), 64, (1, 1, 1, 1))
    x = np.random.default_rng(0).standard_normal((1, 256, 14, 14)).astype(np.float32)
    weight = constant_array(model.graph.initializers["w"])
    images, filters = (torch.tensor(array).double() for array in (x, weight))
    exact = torch.nn.functional.conv2d(images, filters, padding=1).numpy()
    (y,) = compile_(model).run(None, {"x": x})
    assert np.abs(y - exact).max() < 4e-6 * np.abs(exact).max()
