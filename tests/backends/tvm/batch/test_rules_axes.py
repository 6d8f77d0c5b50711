"""Where each rule says that the samples lie, and what it refuses; nothing is compiled."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.batch.rules import RULES
from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError, Site
from graphprune.backends.tvm.lowering.graph import static_shape
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, parse

Initializers = dict[str, Initializer]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


SQUARE = ints(0, 1, 2, 3).reshape(2, 2)
AXIS_OF_T: dict[str, tuple[str, Initializers, BatchAxis]] = {
    # a graph of three samples, in which `t` holds them along this axis
    "an operand of higher rank": (
        "(float[3,4] x) => (float[2,3,4] t) { t = Add(x,c) }", {"c": (2, 1, 4)}, BatchAxis(1)
    ),
    "operands of different ranks": (
        "(float[3,4] x, float[3,4] z) => (float[2,3,4] t) { a = Add(x,c)\n t = Mul(a,z) }", {"c": (2, 1, 4)},
        BatchAxis(1),
    ),
    "a gemm of a bias of one row": ("(float[3,4] x) => (float[3,5] t) { t = Gemm(x,w,c) }", {"w": (4, 5), "c": (1, 5)},
        BatchAxis(0)),
    "a product of stacks of different ranks": (
        "(float[3,4,6] x) => (float[2,3,4,5] t) { t = MatMul(x,w) }", {"w": (2, 1, 6, 5)}, BatchAxis(1)
    ),
    "columns of a stack": (
        "(float[3,2,6] x) => (float[2,5,3] t) { a = Transpose<perm=[1,2,0]>(x)\n t = MatMul(w,a) }", {"w": (5, 6)},
        BatchAxis(2),
    ),
    "rows of a stack": (
        "(float[3,2,6] x) => (float[2,3,5] t) { a = Transpose<perm=[1,0,2]>(x)\n t = MatMul(a,w) }", {"w": (6, 5)},
        BatchAxis(1),
    ),
    "softmax behind the samples": (
        "(float[3,4,6] x) => (float[3,4,6] t) { t = Softmax<axis=-2>(x) }", {}, BatchAxis(0)
    ),
    "softmax before the samples": (
        "(float[3,4] x) => (float[4,3] t) { a = Transpose(x)\n t = Softmax<axis=0>(a) }", {}, BatchAxis(1)
    ),
    "normalization of all but the samples": (
        "(float[3,4,6] x) => (float[3,4,6] t) { t = LayerNormalization<axis=1>(x,s) }", {"s": (4, 6)}, BatchAxis(0)
    ),
    "normalization behind samples of another axis": (
        """(float[3,4,6] x) => (float[4,3,6] t) {
            a = Transpose<perm=[1,0,2]>(x)
            t = LayerNormalization(a,s) }""", {"s": (6,)}, BatchAxis(1),
    ),
    "reductions on both sides": (
        """(float[3,2,4,6] x) => (float[3,6] t) {
            a = Transpose<perm=[1,0,2,3]>(x)
            t = ReduceMax<keepdims=0>(a,i) }""", {"i": ints(0, -2)}, BatchAxis(0),
    ),
    "reductions that keep axes": (
        "(float[3,2,4] x) => (float[1,3,1] t) { a = Transpose<perm=[1,0,2]>(x)\n t = ReduceMin(a,i) }",
        {"i": ints(0, 2)}, BatchAxis(1),
    ),
    "an extremum before the samples": (
        "(float[3,4] x) => (int64[3] t) { a = Transpose(x)\n t = ArgMin<axis=-2, keepdims=0>(a) }", {}, BatchAxis(0)
    ),
    "an extremum behind the samples": (
        "(float[3,4] x) => (int64[3,1] t) { t = ArgMax<axis=1>(x) }", {}, BatchAxis(0)
    ),
    "axes in reverse": ("(float[3,4,6] x) => (float[6,4,3] t) { t = Transpose(x) }", {}, BatchAxis(2)),
    "axes turned": ("(float[3,4,6] x) => (float[6,3,4] t) { t = Transpose<perm=[2,0,1]>(x) }", {}, BatchAxis(1)),
    "several elements a sample": ("(float[3,4,6] x) => (float[12,6] t) { t = Reshape(x,s) }", {"s": ints(12, 6)},
        BatchAxis(0, 4)),
    "axes of one element in front": (
        "(float[3,4] x) => (float[1,1,3,4] t) { t = Reshape(x,s) }", {"s": ints(1, 1, 3, 4)}, BatchAxis(2)
    ),
    "an axis of one element merged in front": (
        "(float[3,1,4] x) => (float[3,4] t) { a = Transpose<perm=[1,0,2]>(x)\n t = Reshape(a,s) }", {"s": ints(3, 4)},
        BatchAxis(0),
    ),
    "samples split again": (
        """(float[3,4,6] x) => (float[3,4,6] t) {
            a = Reshape(x,s)
            b = Neg(a)
            t = Reshape(b,u) }""", {"s": ints(12, 6), "u": ints(3, 4, 6)}, BatchAxis(0),
    ),
    "expanded to a higher rank": (
        "(float[3,4] x) => (float[2,3,4] t) { t = Expand(x,s) }", {"s": ints(2, 1, 4)}, BatchAxis(1)
    ),
    "all of the samples": (
        "(float[3,4] x) => (float[3,2] t) { t = Slice(x,s,e,a,k) }",
        {"s": ints(0, 3), "e": ints(3, 0), "a": ints(0, -1), "k": ints(1, -2)}, BatchAxis(0),
    ),
    "padded behind": ("(float[3,4] x) => (float[3,6] t) { t = Pad(x,p) }", {"p": ints(0, 2, 0, 0)}, BatchAxis(0)),
    "resized along other axes": (
        "(float[3,2,4] x) => (float[3,2,8] t) { t = Resize<axes=[2]>(x,,f) }",
        {"f": np.array([2], np.float32)}, BatchAxis(0),
    ),
    "joined behind": ("(float[3,4] x) => (float[3,8] t) { t = Concat<axis=-1>(x,x) }", {}, BatchAxis(0)),
    "split before the samples": (
        """(float[3,4] x) => (float[2,3] t, float[2,3] u) {
            a = Transpose(x)
            t, u = Split<axis=-2, num_outputs=2>(a) }""", {}, BatchAxis(1),
    ),
    "rows of a table along an axis": (
        """(float[3,4] x) => (float[6,3] t) {
            i = ArgMax<axis=1, keepdims=0>(x)
            t = Gather<axis=-1>(c,i) }""", {"c": (6, 5)}, BatchAxis(1),
    ),
    "a matrix of places": (
        "(float[3,4] x) => (float[3,2,2] t) { t = Gather<axis=1>(x,i) }", {"i": SQUARE}, BatchAxis(0)
    ),
    "a matrix of places before the samples": (
        "(float[3,4] x) => (float[2,2,3] t) { a = Transpose(x)\n t = Gather<axis=0>(a,i) }", {"i": SQUARE}, BatchAxis(2)
    ),
    "one place before the samples": (
        "(float[3,4] x) => (float[3] t) { a = Transpose(x)\n t = Gather<axis=0>(a,i) }", {"i": np.array(2)},
        BatchAxis(0),
    ),
    "sequences": (
        """(float[3,2,4] x) => (float[2,1,3,5] t) {
            a = Transpose<perm=[1,0,2]>(x)
            t = GRU<hidden_size=5>(a,w,r) }""", {"w": (1, 15, 4), "r": (1, 15, 5)}, BatchAxis(2),
    ),
    "the last states of sequences": (
        """(float[3,2,4] x) => (float[2,3,5] t) {
            a = Transpose<perm=[1,0,2]>(x)
            b, t = RNN<hidden_size=5, direction="bidirectional">(a,w,r) }""",
        {"w": (2, 5, 4), "r": (2, 5, 5)}, BatchAxis(1),
    ),
    "sequences first": (
        "(float[3,2,4] x) => (float[3,2,1,5] t) { t = GRU<hidden_size=5, layout=1>(x,w,r) }",
        {"w": (1, 15, 4), "r": (1, 15, 5)}, BatchAxis(0),
    ),
    "the last states of sequences that are first": (
        "(float[3,2,4] x) => (float[3,1,5] t) { b, t = GRU<hidden_size=5, layout=1>(x,w,r) }",
        {"w": (1, 15, 4), "r": (1, 15, 5)}, BatchAxis(0),
    ),
    "states alone": (
        """(float[3,5] h) => (float[2,1,3,5] t) {
            a = Unsqueeze(h,o)
            t = RNN<hidden_size=5>(c,w,r,,,a) }""",
        {"c": np.ones((2, 3, 4), np.float32), "o": ints(0), "w": (1, 5, 4), "r": (1, 5, 5)}, BatchAxis(2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", AXIS_OF_T)
def test_where_the_samples_lie(case: str) -> None:
    text, initializers, expected = AXIS_OF_T[case]
    assert axes_of(text, initializers)["t"] == expected


def axes_of(text: str, initializers: Initializers) -> dict[str, BatchAxis]:
    """Where values of a graph hold its three samples, whatever its outputs hold."""
    return axes_in(prepare(parse(f"g {text}", initializers), lambda node: refusal(node, OPERATORS)).graph)


def axes_in(graph: ir.Graph) -> dict[str, BatchAxis]:
    axes = {value: BatchAxis(0) for value in graph.inputs if static_shape(value)[0] == 3}
    for node in graph:
        site = Site(node, axes, 3)
        if site.batched():
            result = RULES[node.op_type](site)
            axes |= {value: site.others.get(index, result) for index, value in enumerate(node.outputs)}
    return {str(value.name): axis for value, axis in axes.items()}


CHANNELS: Initializers = {"s": (3,), "v": np.ones(3, np.float32)}
PLACES = np.stack(np.meshgrid(np.arange(3), [0, 1], indexing="ij"), axis=-1)
REFUSED: dict[str, tuple[str, Initializers, str]] = {
    "scales of samples": (
        "(float[3,3,4] x, float[3] z) => (float[3,3,4] t) { t = BatchNormalization(x,z,s,s,v) }", CHANNELS,
        "the samples are channels",
    ),
    "weights of samples": (
        "(float[3,4,5] x, float[3,4,1] z) => (float[3,3,5] t) { t = Conv(x,z) }", {},
        r"inputs \[0, 1\] differ between samples",
    ),
    "weights of samples alone": (
        "(float[3,4,1] z) => (float[2,3,5] t) { t = Conv(c,z) }", {"c": (2, 4, 5)},
        r"inputs \[1\] differ between samples",
    ),
    "places of maxima": (
        "(float[3,4,5] x) => (float[3,4,4] t, int64[3,4,4] u) { t, u = MaxPool<kernel_shape=[2]>(x) }", {},
        "do not lie along the first axis",
    ),
    "a vector behind": ("(float[3,4] x) => (float[3] t) { t = MatMul(x,w) }", {"w": (4,)}, "an operand is a vector"),
    "a sum of columns": (
        "(float[3,4] x) => (float[4,5] t) { a = Transpose(x)\n t = MatMul(a,w) }", {"w": (3, 5)}, "sums over samples"
    ),
    "a sum of rows of a stack": (
        "(float[3,4] x) => (float[2,5,4] t) { t = MatMul(w,x) }", {"w": (2, 5, 3)}, "sums over samples"
    ),
    "every pair of a stack": (
        """(float[3,2,6] x) => (float[2,3,3] t) {
            a = Transpose<perm=[1,0,2]>(x)
            b = Transpose<perm=[1,2,0]>(x)
            t = MatMul(a,b) }""", {}, "every sample meets every other",
    ),
    "a stack with rows": (
        "(float[3,3,6] x, float[3,6] z) => (float[3,3,3] t) { a = Transpose(z)\n t = MatMul(x,a) }", {},
        "every sample meets every other",
    ),
    "a bias of samples alone": (
        "(float[3,5] z) => (float[3,5] t) { t = Gemm(c,w,z) }", {"c": np.ones((3, 4), np.float32), "w": (4, 5)},
        "not rows of the first matrix",
    ),
    "columns of the first matrix": (
        "(float[3,4] x) => (float[4,5] t) { a = Transpose(x)\n t = Gemm(a,w) }", {"w": (3, 5)},
        "not rows of the first matrix",
    ),
    "softmax of samples, from the end": (
        "(float[3,4] x) => (float[3,4] t) { t = LogSoftmax<axis=-2>(x) }", {}, "computes along the samples"
    ),
    "softmax along the last axis": (
        "(float[3,4] x) => (float[4,3] t) { a = Transpose(x)\n t = Softmax(a) }", {}, "computes along the samples"
    ),
    "normalization along the last axis": (
        "(float[3,4] x) => (float[4,3] t) { a = Transpose(x)\n t = LayerNormalization(a,s) }", {"s": (3,)},
        "normalises along the samples",
    ),
    "a scale along the samples": (
        "(float[3,4] x) => (float[3,4] t) { t = LayerNormalization(x,s) }", {"s": (3, 4)},
        "normalises along the samples",
    ),
    "a sum of everything": ("(float[3,4] x) => (float[1,1] t) { t = ReduceSum(x) }", {}, "reduces over samples"),
    "a sum of samples, from the end": (
        "(float[3,4] x) => (float[1,4] t) { t = ReduceSum(x,i) }", {"i": ints(-2)}, "reduces over samples"
    ),
    "the best of the first axis": ("(float[3,4] x) => (int64[1,4] t) { t = ArgMax(x) }", {}, "reduces over samples"),
    "parts of samples": (
        "(float[3,4] x) => (float[2,6] t) { t = Reshape(x,s) }", {"s": ints(2, 6)}, "mixes the samples"
    ),
    "samples behind another axis": (
        "(float[3,4] x) => (float[12] t) { a = Transpose(x)\n t = Reshape(a,s) }", {"s": ints(12)}, "mixes the samples"
    ),
    "padding in front, along axes": (
        "(float[3,4] x) => (float[3,4] t) { t = Pad(x,p,,a) }", {"p": ints(0, 1, 0, -1), "a": ints(1, -2)},
        "adds and removes samples",
    ),
    "an aspect ratio": (
        """(float[3,4] x) => (float[3,4] t) { t = Resize<keep_aspect_ratio_policy="not_larger">(x,,,s) }""",
        {"s": ints(3, 4)}, "resizes the axis of the samples",
    ),
    "joined batches, from the end": (
        "(float[3,4] x) => (float[6,4] t) { t = Concat<axis=-2>(x,x) }", {}, "joins batches"
    ),
    "a split along the first axis": (
        "(float[3,4] x) => (float[1,4] t, float[2,4] u) { t, u = Split(x,i) }", {"i": ints(1, 2)}, "splits the batch"
    ),
    "a split batch, from the end": (
        "(float[3,4] x) => (float[1,4] t, float[2,4] u) { t, u = Split<axis=-2>(x,i) }", {"i": ints(1, 2)},
        "splits the batch",
    ),
    "picked samples, from the end": (
        "(float[3,4] x) => (float[2,4] t) { t = Gather<axis=-2>(x,i) }", {"i": ints(0, 2)}, "picks samples"
    ),
    "places of some samples": (
        "(float[3,5] x) => (float[2,2] t) { t = GatherND(x,i) }", {"i": PLACES[:2]}, "picks samples"
    ),
    "other places of each sample": (
        "(float[3,5] x) => (float[3,2] t) { t = GatherND(x,i) }",
        {"i": PLACES + np.array([[[0, 0]], [[0, 1]], [[0, 0]]])}, "picks samples",
    ),
    "places in samples of another axis": (
        "(float[3,3] x) => (float[3,2] t) { a = Transpose(x)\n t = GatherND(a,i) }", {"i": PLACES},
        "do not lie along the first axis",
    ),
    "places that are computed": (
        "(float[3,5] x, int64[2,2,2] i) => (float[2,2] t) { t = GatherND(x,i) }", {}, "is no constant"
    ),
    "steps": (
        "(float[3,2,4] x) => (float[3,1,2,5] t) { t = RNN<hidden_size=5>(x,w,r) }", {"w": (1, 5, 4), "r": (1, 5, 5)},
        "not its sequences",
    ),
    "states that differ": (
        """(float[3,2,4] x) => (float[2,1,3,5] t) {
            a = Transpose<perm=[1,0,2]>(x)
            t = RNN<hidden_size=5>(a,w,r,,,h) }""", {"w": (1, 5, 4), "r": (1, 5, 5), "h": (1, 3, 5)},
        "input 5, a constant, differs between samples",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_samples_that_meet_are_refused(case: str) -> None:
    text, initializers, reason = REFUSED[case]
    with pytest.raises(MixedSamplesError, match=reason):
        axes_of(text, initializers)


@pytest.mark.parametrize(
    ("text", "shape", "reason"),
    [
        ("(float[3,0] x) => (float[0,3] t) { t = Reshape<allowzero=1>(x,s) }", ints(0, 3), "it is empty"),
        ("(float[3,4] x, float[3,4] z) => (float[3,3] t) { t = Gemm<transB=1>(x,z) }", ints(), "not rows of the first"),
    ],
)
def test_what_preparing_leaves_to_others_is_refused_too(text: str, shape: np.ndarray, reason: str) -> None:
    with pytest.raises(MixedSamplesError, match=reason):
        axes_in(parse(f"g {text}", {"s": shape}).graph)


def test_an_aspect_ratio_of_other_axes_is_kept() -> None:
    text = """(float[3,2,4] x) => (float[3,2,8] t) {
        t = Resize<axes=[2], coordinate_transformation_mode="tf_crop_and_resize">(x,r,,s) }"""
    assert axes_of(text, {"r": np.array([0, 1], np.float32), "s": ints(8)})["t"] == BatchAxis(0)


@pytest.mark.parametrize(("transposed", "reason"), [(False, None), (True, "sums over samples")])
def test_packed_products_take_rows(transposed: bool, reason: str | None) -> None:  # noqa: FBT001
    body = "a = Transpose(x)\n t = MatMul(a,w)" if transposed else "t = MatMul(x,w)"
    weight = np.zeros((3, 8) if transposed else (4, 8), np.float32)
    model = parse(f"g (float[3,4] x) => (float[A,8] t) {{ {body} }}", {"w": weight})
    graph = prepare(run_pass(PackWeights(), model).model, lambda node: refusal(node, OPERATORS)).graph
    if reason is None:
        assert axes_in(graph)["t"] == BatchAxis(0)
        return
    with pytest.raises(MixedSamplesError, match=reason):
        axes_in(graph)


def test_a_part_of_a_constant_is_the_same_for_all() -> None:
    repeated = np.repeat(np.arange(8, dtype=np.float32).reshape(1, 2, 4), 3, axis=0)
    graph = parse("g (float[3,2,4] x) => (float[3,2,4] t) { t = Add(x,c) }", {"c": repeated}).graph
    site = Site(graph.node(0), {graph.inputs[0]: BatchAxis(0)}, 3)
    assert RULES["Add"](site) == BatchAxis(0)
    assert site.parts[1].tolist() == repeated[:1].tolist()
