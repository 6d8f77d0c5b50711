"""Where each rule says that the samples lie, and what it refuses; nothing is compiled."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.batch.rules import RULES
from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError, Site
from graphprune.backends.tvm.lowering.graph import static_shape
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
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
}  # fmt: skip


@pytest.mark.parametrize("case", AXIS_OF_T)
def test_where_the_samples_lie(case: str) -> None:
    text, initializers, expected = AXIS_OF_T[case]
    assert axes_of(text, initializers)["t"] == expected


def axes_of(text: str, initializers: Initializers) -> dict[str, BatchAxis]:
    """Where values of a graph hold its three samples, whatever its outputs hold."""
    graph = prepare(parse(f"g {text}", initializers), lambda node: refusal(node, OPERATORS)).graph
    axes = {value: BatchAxis(0) for value in graph.inputs if static_shape(value)[0] == 3}
    for node in graph:
        site = Site(node, axes, 3)
        if site.batched():
            axes |= dict.fromkeys(node.outputs, RULES[node.op_type](site))
    return {str(value.name): axis for value, axis in axes.items()}
