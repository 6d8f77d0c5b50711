"""Operands whose extents do not fit are refused for every operator, though onnx's inference lets them through."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.passes.inline_branches import inline_branches
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import parse


def graph(text: str, opset: int = 23) -> ir.Model:
    return ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : {opset}]>\n g {text}')


CONV = "(float[1,4,6,6] x, float[{w}] w, float[{b}] b) => (float[] y) {{ y = {op}(x, w, b) }}"

UNFIT = [
    (CONV.format(op="Conv", w="8,4,3,3", b=3), r"input 'b' has shape \[3\], expected \[8\]"),
    (CONV.format(op="Conv", w="8,5,3,3", b=8), "input has 4 channels, expected 5 as the weight takes"),
    (CONV.format(op="Conv<group=2>", w="8,4,3,3", b=8), "input has 4 channels, expected 8 as the weight takes"),
    (CONV.format(op="Conv<group=2>", w="7,2,3,3", b=7), "7 output channels are not divisible by 2 groups"),
    (CONV.format(op="Conv<kernel_shape=[5,5]>", w="8,4,3,3", b=8), r"kernel_shape is \[5, 5\], expected that of"),
    (CONV.format(op="Conv", w="8,4,9,9", b=8), "output 'y' has an extent of -2, expected at least 0"),
    (CONV.format(op="Conv", w="8,4,7,3", b=8), "padded input has extent 6 at axis 2, expected at least the window's 7"),
    (CONV.format(op="Conv<strides=[3,3],pads=[0,1,0,1]>", w="8,4,3,9", b=8), "extent 8 at axis 3, .* the window's 9"),
    (CONV.format(op="Conv<dilations=[3,3]>", w="8,4,3,3", b=8), "extent 6 at axis 2, .* the window's 7"),
    (CONV.format(op="Conv<auto_pad='VALID'>", w="8,4,7,7", b=8), "extent 6 at axis 2, .* the window's 7"),
    (
        "(float[1,4,0,6] x, float[8,4,3,3] w) => (float[] y) { y = Conv<auto_pad='SAME_UPPER'>(x, w) }",
        "its result has extent 0 at axis 2, expected at least 1",
    ),
    (
        "(uint8[1,4,2,2] x, uint8[8,4,3,3] w) => (int32[] y) { y = ConvInteger<strides=[2,2]>(x, w) }",
        "extent 2 at axis 2, .* the window's 3",
    ),
    (
        "(float[1,4,1,1] x, float[4,8,2,2] w) => (float[] y) { y = ConvTranspose<pads=[1,1,1,1]>(x, w) }",
        "its result has extent 0 at axis 2, expected at least 1",
    ),
    (
        "(float[1,4,2] x) => (float[] y) { y = AveragePool<kernel_shape=[3],strides=[2],count_include_pad=1>(x) }",
        "extent 2 at axis 2, .* the window's 3",
    ),
    (CONV.format(op="ConvTranspose", w="4,8,3,3", b=4), r"input 'b' has shape \[4\], expected \[8\]"),
    (CONV.format(op="ConvTranspose", w="5,8,3,3", b=8), "input has 4 channels, expected 5 as the weight takes"),
    ("(float[2,16] x, float[0] w) => (float[] y) { y = PRelu(x, w) }", r"\[0\], which does not broadcast to \[2, 16\]"),
    (
        "(float[2,16] x, float[3] w) => (float[] y) { y = LayerNormalization(x, w) }",
        r"\[3\], which does not broadcast to",
    ),
    ("(float[2,16] x, float[16] w) => (float[] y) { y = RMSNormalization<axis=2>(x, w) }", "axis is 2, which"),
    ("(float[2,8,5] x, float[1] w) => (float[] y) { y = InstanceNormalization(x, w, w) }", r"\[1\], expected \[8\]"),
    (
        "(float[2,8] x, float[8,4] w, float[3] c) => (float[] y) { y = Gemm(x, w, c) }",
        r"does not broadcast to \[2, 4\]",
    ),
    ("(float[2,8] x, float[3] s, int8[3] z) => (int8[] y) { y = QuantizeLinear(x, s, z) }", r"\[3\], expected \[8\]"),
    ("(int8[2,8] x, float[8] s, int8[1] z) => (float[] y) { y = DequantizeLinear(x, s, z) }", r"\[1\], expected \[8\]"),
    ("(float[2,8] x, float[2] a) => (float[] y) { y = Clip(x, a) }", "input 'a' has 2 elements, expected 1"),
    (
        """(float[5,2,4] x, float[1,9,4] w, float[1,9,3] r, float[2,1,3] h) => (float[] y) {
            y = GRU<hidden_size=3>(x,w,r,,,h) }""",
        r"input 'h' has shape \[2, 1, 3\], expected \[1, 2, 3\]",
    ),
    (
        "(float[1,2,4,8] q, float[1,2,6,8] k, float[4,7] m) => (float[] y) { y = Attention(q, k, k, m) }",
        "input 'm' has 7 keys, expected at most 6",
    ),
    ("(float[2,4] x, int64[9,4] i) => (float[] y) { y = GatherElements<axis=1>(x, i) }", r"expected at most \[2, \?\]"),
    ("(float[2,4] x, int64[2,4] i) => (float[] y) { y = GatherElements<axis=9>(x, i) }", "axis is 9, which"),
    ("(float[2,4] x, int64[9,4] i, float[9,4] u) => (float[] y) { y = ScatterElements<axis=1>(x, i, u) }", "at most"),
    (
        "(float[2,4] x, int64[2,4] i, float[2,3] u) => (float[] y) { y = ScatterElements(x, i, u) }",
        r"expected \[2, 4\]",
    ),
    ("(float[2,4] x, int64[3,1] i, float[3,5] u) => (float[] y) { y = ScatterND(x, i, u) }", r"expected \[3, 4\]"),
    ("(float[2,4] x, int64[3,3] i, float[3] u) => (float[] y) { y = ScatterND(x, i, u) }", "tuples of 3 indices"),
    ("(float[2,2] x, int64[2] i) => (float[2] y) { y = GatherND(x, i) }", r"its output is \[2\], expected \[\]"),
    ("(float[4,3] x) => (float[] y) { y = LogSoftmax<axis=4611686018427387904>(x) }", "which .* does not have"),
    ("(float[4,3] x, int64[2] l) => (float[] y) { y = ReverseSequence(x, l) }", r"\[2\], expected \[3\]"),
    (
        "(float[4,3] x, int64[3] l) => (float[] y) { y = ReverseSequence<time_axis=2>(x, l) }",
        "batch_axis and time_axis",
    ),
    (
        "(float[1,4,5] x) => (float[] y) <int64[2] s = {4,4}, int64[2] b = {2,2}> { y = Col2Im(x, s, b) }",
        r"expected \[1, 4, 9\]",
    ),
    (
        """(float[1,1,2,2] x, int64[1,1,2,2] i) => (float[1,1,5] y) <int64[4] s = {1,1,5,5}> {
            y = MaxUnpool<kernel_shape=[2,2]>(x, i, s) }""",
        "its output has 3 axes, expected 4",
    ),
    (
        """(float[1,1,2,2] x, int64[1,1,2,2] i) => (float[2,1,5,5] y) <int64[4] s = {1,1,5,5}> {
            y = MaxUnpool<kernel_shape=[2,2]>(x, i, s) }""",
        r"its output is \[2, 1, 5, 5\], expected \[1, 1, 5, 5\]",
    ),
    ("(float[1,1,2,2] x, int64[1,1,2,1] i) => (float[] y) { y = MaxUnpool<kernel_shape=[2,2]>(x, i) }", "expected"),
    (
        """(float[1,1,2,2] x, int64[1,1,2,2] i) => (float[] y) <int64[4] s = {1,1,2,2}> {
            y = MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(x, i, s) }""",
        "its output has extent 2 at axis 2, expected at least 4",
    ),
    (
        "(float[2,3] x, float[5,4] z) => (float[] y) { y = Einsum<equation='ij,jk->ik'>(x, z) }",
        "'j' of '.*' has extents 3 and 5",
    ),
    (
        "(float[3,5,5] x) => (float[] y) { y = Einsum<equation='...ii->..'>(x) }",
        r"'\.\.\.ii->\.\.' is no equation",
    ),
    ("(float[1,4,8,8] x) => (float[] y) { y = SpaceToDepth<blocksize=3>(x) }", "8 is not divisible by 3"),
    ("(float[1,4,8,8] x) => (float[] y) { y = DepthToSpace<blocksize=4>(x) }", "4 is not divisible by 16"),
    ("(float[2,3] x) => (float[] y) <int64[4] p = {-4,0,4,0}> { y = Pad(x, p) }", "leave nothing of axis 0"),
    (
        "(float[2,3] x, float[2] v) => (float[] y) <int64[4] p = {1,1,1,1}> { y = Pad(x, p, v) }",
        "2 elements, expected 1",
    ),
    ("(float[2,3] x) => (float[] y) <int64 a = {9}> { y = CumSum(x, a) }", r"axis is 9, which \[2, 3\] does not have"),
    (
        """(float[1,1,4,4] x) => (float[] y) <float[4] r = {0,0,1,1}, float[4] s = {1,1,2,2}> {
            y = Resize<coordinate_transformation_mode='tf_crop_and_resize'>(x, r, s) }""",
        "4 elements, expected 8",
    ),
    ("(float[1,3,4,4] x) => (float[] y) { y = LRN<size=-3>(x) }", "size is -3, expected at least 1"),
    (
        "(float[1,3,4,4] x) => (float[1,3,3,3] y) { y = LpPool<kernel_shape=[2,2],p=0>(x) }",
        "p is 0, expected at least 1",
    ),
    ("(float[1,3,4,4] x) => (float[1,3,1,1] y) { y = GlobalLpPool<p=-1>(x) }", "p is -1, expected at least 1"),
]


@pytest.mark.parametrize(("text", "reason"), UNFIT)
def test_operands_that_do_not_fit_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"^shapes do not fit: .*{reason}.*\[GP262\]$"):
        infer_shapes(graph(re.sub(r"='([^']*)'", r'="\1"', text)))


FIT = [
    CONV.format(op="Conv<group=2>", w="8,2,3,3", b=8),
    CONV.format(op="ConvTranspose<group=2>", w="4,8,3,3", b=16),
    CONV.format(op="Conv<dilations=[2,2],pads=[0,1,3,1]>", w="8,4,5,4", b=8),
    "(float[1,4,2,2] x) => (float[] y) { y = MaxPool<kernel_shape=[3,3]>(x) }",
    "(float[1,4,2] x) => (float[] y) { y = AveragePool<kernel_shape=[3],count_include_pad=1>(x) }",
    "(float[1,4,2] x) => (float[] y) { y = AveragePool<kernel_shape=[3],strides=[2]>(x) }",
    "(float[1,c,6,6] x, float[8,7,3,3] w) => (float[] y) { y = Conv(x, w) }",
    "(float[2,8] x, float[1] s, int8 z) => (int8[] y) { y = QuantizeLinear(x, s, z) }",
    "(float[2,8] x, float[2,2] s) => (uint8[] y) { y = QuantizeLinear<block_size=4>(x, s) }",
    "(float[2,8,5] x, float[8,1] w) => (float[] y) { y = PRelu(x, w) }",
    "(float[2,4] x, int64[2,9] i, float[2,9] u) => (float[] y) { y = ScatterElements<axis=1>(x, i, u) }",
    "(float[2,3,4] x, int64[2,5,1] i) => (float[] y) { y = GatherND<batch_dims=1>(x, i) }",
    "(float[2,1,4] x, float[2,4,4] z) => (float[] y) { y = Einsum<equation='bij,bjk->bik'>(x, z) }",
    "(float[2,3] x) => (float[] y) <int64[4] p = {-1,0,0,0}> { y = Pad(x, p) }",
    """(float[5,2,4] x, float[2,9,4] w, float[2,9,3] r, float[2,2,3] h) => (float[] y) {
        y = GRU<hidden_size=3,direction='bidirectional'>(x,w,r,,,h) }""",
]


@pytest.mark.parametrize("text", FIT)
def test_operands_that_fit_or_are_not_known_pass(text: str) -> None:
    model = graph(text.replace("'", '"'))
    infer_shapes(model)
    assert all(value.dtype is not None for node in model.graph for value in node.outputs)


BRANCHES = """g (float[2,8,4,4] x) => (float[] y) {
    y = If (c) <then_branch = t () => (float[] p) { p = Conv(x, w, b) },
                else_branch = e () => (float[] q) { q = Relu(x) }>
}"""


def test_a_branch_may_contradict_itself_until_it_is_taken() -> None:
    constants = {"w": np.zeros((4, 8, 1, 1), np.float32), "b": np.zeros(5, np.float32), "c": np.ones((), np.bool_)}
    model = parse(BRANCHES, constants)
    infer_shapes(model)
    inline_branches(model)
    with pytest.raises(UnsupportedModelError, match=r"input 'b' has shape \[5\], expected \[4\]"):
        infer_shapes(model)


def test_the_bias_of_a_packed_call_is_compared() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "graphprune" : 1]>
        g (float[1,4,6,6] x, float[3] b) => (float[] y) {
        y = graphprune.PackedConv <weight_shape = [8,4,3,3]> (x, x, x, x, b) }
        <domain: "graphprune", opset_import: ["" : 20]>
        PackedConv <weight_shape> (x, v, c, o, b) => (y) { y = Identity(x) }"""
    with pytest.raises(UnsupportedModelError, match=r"\(PackedConv\): input 'b' has shape \[3\], expected \[8\]"):
        infer_shapes(ir.from_onnx_text(text))
