"""Each rule beside ONNX Runtime: a graph run sample by sample computes the same, or is refused, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.batch.site import BatchAxis, MixedSamplesError
from tests.backends.tvm.batch.samples import compile_samples, found_axes
from tests.backends.tvm.graphs import Initializer, assert_equal, parse

Initializers = dict[str, Initializer]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def same(*shape: int) -> np.ndarray:
    """Values that are the same for all three samples."""
    rng = np.random.default_rng(5)
    return np.repeat(rng.standard_normal((1, *shape[1:])).astype(np.float32), shape[0], axis=0)


MASK_PLACES = np.stack(np.meshgrid(np.arange(3), [0], np.arange(5), indexing="ij"), axis=-1)[..., [0, 2]]

APART: dict[str, tuple[str, Initializers]] = {
    "elementwise": ("(float[3,4] x, float[3,1] z) => (float[3,4] y) { a = Add(x,z)\n y = Relu(a) }", {}),
    "shared input": ("(float[3,4] x, float[1,4] z) => (float[3,4] y) { y = Mul(x,z) }", {}),
    "constant of lower rank": ("(float[3,2,4] x) => (float[3,2,4] y) { y = Add(x,c) }", {"c": (2, 4)}),
    "constant repeated for each sample": (
        "(float[3,2,4] x) => (float[3,2,4] y) { y = Add(x,c) }",
        {"c": same(3, 1, 4)},
    ),
    "batch normalization": (
        "(float[3,2,4] x) => (float[3,2,4] y) { y = BatchNormalization(x,s,b,m,v) }",
        {"s": (2,), "b": (2,), "m": (2,), "v": np.ones(2, np.float32)},
    ),
    "convolution": (
        "(float[3,4,5,5] x) => (float[3,6,3,3] y) { c = Conv(x,w,b)\n y = MaxPool<kernel_shape=[3,3]>(c) }",
        {"w": (6, 4, 1, 1), "b": (6,)},
    ),
    "global pool": ("(float[3,4,5,5] x) => (float[3,4,1,1] y) { y = GlobalAveragePool(x) }", {}),
    "instance normalization": (
        "(float[3,4,5] x) => (float[3,4,5] y) { y = InstanceNormalization(x,s,b) }",
        {"s": (4,), "b": (4,)},
    ),
    "transposed convolution": (
        "(float[3,4,5,5] x) => (float[3,2,7,7] y) { y = ConvTranspose(x,w) }",
        {"w": (4, 2, 3, 3)},
    ),
    "gemm": ("(float[3,4] x) => (float[3,5] y) { y = Gemm<transB=1>(x,w,c) }", {"w": (5, 4), "c": (5,)}),
    "gemm with a bias of the batch": (
        "(float[3,4] x, float[3,5] z) => (float[3,5] y) { y = Gemm(x,w,z) }",
        {"w": (4, 5)},
    ),
    "rows of a product": ("(float[3,4] x) => (float[3,5] y) { y = MatMul(x,w) }", {"w": (4, 5)}),
    "columns of a product": (
        "(float[3,4] x) => (float[3,5] y) { t = Transpose(x)\n p = MatMul(w,t)\n y = Transpose(p) }",
        {"w": (5, 4)},
    ),
    "stacked products": ("(float[3,4,6] x, float[3,6,2] z) => (float[3,4,2] y) { y = MatMul(x,z) }", {}),
    "stacked product with constants of the batch": (
        "(float[3,4,6] x) => (float[3,4,2] y) { y = MatMul(x,w) }",
        {"w": same(3, 6, 2)},
    ),
    "softmax": ("(float[3,4,6] x) => (float[3,4,6] y) { y = Softmax<axis=1>(x) }", {}),
    "layer normalization": (
        "(float[3,4,6] x) => (float[3,4,6] y) { y = LayerNormalization(x,s,b) }",
        {"s": (6,), "b": (6,)},
    ),
    "reduction": (
        "(float[3,4,6] x) => (float[3,6] y) { y = ReduceMean<keepdims=0>(x,a) }",
        {"a": ints(1)},
    ),
    "reduction before the samples": (
        "(float[3,4,6] x) => (float[3,6] y) { t = Transpose<perm=[1,0,2]>(x)\n y = ReduceSum<keepdims=0>(t,a) }",
        {"a": ints(0)},
    ),
    "reduction of nothing": (
        "(float[3,4] x) => (float[3,4] y) { y = ReduceSum<noop_with_empty_axes=1>(x) }",
        {},
    ),
    "extremum": ("(float[3,4,6] x) => (int64[3,4] y) { y = ArgMax<axis=2, keepdims=0>(x) }", {}),
    "merged with the next axis": (
        "(float[3,4,6] x) => (float[3,4,2] y) { r = Reshape(x,s)\n p = Gemm(r,w)\n y = Reshape(p,t) }",
        {"s": ints(12, 6), "w": (6, 2), "t": ints(3, 4, 2)},
    ),
    "squeezed and unsqueezed": (
        "(float[3,1,6] x) => (float[3,6,1] y) { s = Squeeze(x,one)\n y = Unsqueeze(s,two) }",
        {"one": ints(1), "two": ints(2)},
    ),
    "expanded": ("(float[3,1,6] x) => (float[3,4,6] y) { y = Expand(x,s) }", {"s": ints(3, 4, 6)}),
    "sliced": (
        "(float[3,4,6] x) => (float[3,2,6] y) { y = Slice(x,s,e,a) }",
        {"s": ints(1, 0), "e": ints(3, 99), "a": ints(1, 0)},
    ),
    "split": ("(float[3,4] x) => (float[3,2] y, float[3,2] z) { y, z = Split<axis=1, num_outputs=2>(x) }", {}),
    "padded": ("(float[3,4] x) => (float[3,6] y) { y = Pad(x,p) }", {"p": ints(0, 1, 0, 1)}),
    "padded along axes": ("(float[3,4] x) => (float[3,6] y) { y = Pad(x,p,,a) }", {"p": ints(1, 1), "a": ints(-1)}),
    "resized": (
        '(float[3,2,4,4] x) => (float[3,2,8,8] y) { y = Resize<mode="linear">(x,,,s) }',
        {"s": ints(3, 2, 8, 8)},
    ),
    "joined with a constant": (
        "(float[3,4,6] x) => (float[3,5,6] y) { y = Concat<axis=1>(c,x) }",
        {"c": same(3, 1, 6)},
    ),
    "gathered by samples": (
        """(float[3,4] x) => (float[3,6] y) {
            i = ArgMax<axis=1, keepdims=0>(x)
            y = Gather(t,i) }""",
        {"t": (5, 6)},
    ),
    "gathered from samples": (
        "(float[3,4,6] x) => (float[3,2,6] y) { y = Gather<axis=1>(x,i) }",
        {"i": ints(0, 2)},
    ),
    "gathered before the samples": (
        """(float[3,4,6] x) => (float[3,2,6] y) {
            t = Transpose<perm=[1,0,2]>(x)
            g = Gather(t,i)
            y = Transpose<perm=[1,0,2]>(g) }""",
        {"i": ints(0, 2)},
    ),
    "a place of each sample": ("(float[3,5] x) => (float[3,1,5] y) { y = GatherND(x,i) }", {"i": MASK_PLACES}),
    "sequences, their lengths, and states that are the same": (
        """(float[3,5,4] x, int32[3] n) => (float[3,5,6] y, float[3,6] z) {
            a = Transpose<perm=[1,0,2]>(x)
            s, h = GRU<hidden_size=6>(a,w,r,b,n,i)
            t = Squeeze(s,o)
            y = Transpose<perm=[1,0,2]>(t)
            z = Reshape(h,u) }""",
        {
            "w": (1, 18, 4),
            "r": (1, 18, 6),
            "b": (1, 36),
            "i": np.ones((1, 3, 6), np.float32),
            "o": ints(1),
            "u": ints(3, 6),
        },
    ),
}


@pytest.mark.parametrize("case", APART)
def test_independent_samples(case: str) -> None:
    text, initializers = APART[case]
    model = parse(f"g {text}", initializers)
    session = compile_samples(model)
    assert session.batch.samples == 3, session.batch.why
    assert_equal(session, model)


MIXED: dict[str, tuple[str, Initializers, str]] = {
    "different axes": (
        "(float[3,3] x) => (float[3,3] y) { t = Transpose(x)\n y = Add(x,t) }", {}, "along different axes"
    ),
    "computed extent of the batch": (
        "(float[3,2] x, float[2,3] z) => (float[3,2] y) { t = Transpose(z)\n y = Add(x,t) }", {}, "is no constant"
    ),
    "constant of each sample": (
        "(float[3,4] x) => (float[3,4] y) { y = Add(x,c) }", {"c": (3, 4)}, "differs between samples"
    ),
    "batch normalization along samples": (
        "(float[3,4] x) => (float[3,4] y) { t = Transpose(x)\n n = BatchNormalization(t,s,s,s,v)\n y = Transpose(n) }",
        {"s": (3,), "v": np.ones(3, np.float32)}, "the samples are channels",
    ),
    "convolution along samples": (
        """(float[3,4,5] x) => (float[3,4,5] y) {
            t = Transpose<perm=[2,1,0]>(x)
            c = Conv(t,w)
            y = Transpose<perm=[2,1,0]>(c) }""",
        {"w": (4, 4, 1)}, "do not lie along the first axis",
    ),
    "transposed gemm": (
        "(float[3,3] x) => (float[3,5] y) { y = Gemm<transA=1>(x,w) }", {"w": (3, 5)}, "not rows of the first matrix"
    ),
    "sum over samples": (
        "(float[3,4] x) => (float[3,4] y) { y = MatMul(w,x) }", {"w": (3, 3)}, "sums over samples"
    ),
    "every pair of samples": (
        "(float[3,4] x) => (float[3,3] y) { t = Transpose(x)\n y = MatMul(x,t) }", {}, "meets every other"
    ),
    "vector": ("(float[3] x, float[3,3] z) => (float[3] y) { y = MatMul(z,x) }", {}, "an operand is a vector"),
    "softmax over samples": (
        "(float[3,4] x) => (float[3,4] y) { y = Softmax<axis=0>(x) }", {}, "computes along the samples"
    ),
    "normalization over samples": (
        "(float[3,4] x) => (float[3,4] y) { y = LayerNormalization<axis=0>(x,s) }",
        {"s": (3, 4)}, "normalises along the samples",
    ),
    "sum of samples": (
        "(float[3,4] x) => (float[3,4] y) { s = ReduceSum(x,a)\n y = Add(x,s) }", {"a": ints(0)}, "reduces over samples"
    ),
    "best sample": (
        "(float[3,3] x) => (int64[3,1] y) { a = ArgMax<axis=0>(x)\n y = Transpose(a) }", {}, "reduces over samples"
    ),
    "samples behind another axis": (
        "(float[3,4] x) => (float[3,4] y) { t = Transpose(x)\n r = Reshape(t,s)\n y = Relu(r) }",
        {"s": ints(3, 4)}, "mixes the samples' axis",
    ),
    "samples themselves split": (
        "(float[4,6] x) => (float[4,6] y) { r = Reshape(x,s)\n t = Transpose<perm=[1,0,2]>(r)\n y = Reshape(t,u) }",
        {"s": ints(2, 2, 6), "u": ints(4, 6)}, "mixes the samples' axis",
    ),
    "fewer samples": (
        "(float[3,4] x) => (float[3,4] y) { s = Slice(x,z,o)\n y = Add(x,s) }",
        {"z": ints(0), "o": ints(1)}, "how many samples",
    ),
    "reversed": (
        "(float[3,4] x) => (float[3,4] y) { y = Slice(x,s,e,a,t) }",
        {"s": ints(-1), "e": ints(-9), "a": ints(0), "t": ints(-1)}, "in another order",
    ),
    "shifted": (
        "(float[3,4] x) => (float[3,4] y) { y = Pad(x,p) }", {"p": ints(1, 0, -1, 0)}, "adds and removes samples"
    ),
    "cropped": (
        """(float[3,2,4,4] x) => (float[3,2,4,4] y) {
            y = Resize<coordinate_transformation_mode="tf_crop_and_resize">(x,r,,s) }""",
        {"r": np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32), "s": ints(3, 2, 4, 4)}, "resizes the axis",
    ),
    "joined batches": (
        "(float[3,4] x) => (float[3,4] y) { c = Concat<axis=0>(x,x)\n s = Slice(c,b,e)\n y = Relu(s) }",
        {"b": ints(1), "e": ints(4)}, "joins batches",
    ),
    "split batch": (
        "(float[4,6] x) => (float[4,6] y) { a, b = Split<axis=0, num_outputs=2>(x)\n y = Concat<axis=0>(b,a) }",
        {}, "splits the batch",
    ),
    "gathered samples": (
        "(float[3,4] x) => (float[3,4] y) { y = Gather(x,i) }", {"i": ints(2, 1, 0)}, "picks samples"
    ),
    "table and places": (
        "(float[3,4] x) => (float[3,3] y) { a = ArgMax<axis=1, keepdims=0>(x)\n y = Gather<axis=1>(x,a) }",
        {}, "table and indices",
    ),
    "places of another sample": (
        "(float[3,5] x) => (float[3,1,5] y) { y = GatherND(x,i) }", {"i": MASK_PLACES[::-1].copy()}, "picks samples"
    ),
    "no rule": (
        "(float[3,3] x) => (float[3,3] y) { y = CumSum(x,a) }", {"a": ints(0)}, "not known to treat samples"
    ),
    "the same for all": (
        "(float[3,4] x, float[1,4] z) => (float[3,4] y, float[3,4] u) { y = Relu(x)\n u = Expand(z,s) }",
        {"s": ints(3, 4)}, "output 'u' does not hold one row a sample",
    ),
    "outputs along another axis": (
        "(float[3,3] x) => (float[3,3] y) { y = Transpose(x) }", {}, "output 'y' does not hold one row a sample"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXED)
def test_samples_that_are_not_independent(case: str) -> None:
    text, initializers, reason = MIXED[case]
    with pytest.raises(MixedSamplesError, match=reason):
        found_axes(f"g {text}", initializers)
    model = parse(f"g {text}", initializers)
    session = compile_samples(model)
    assert session.batch.samples == 1
    assert reason in session.batch.why
    assert_equal(session, model)


def test_follows_axes() -> None:
    text = """g (float[3,4,6] x) => (float[3,4,6] y) {
        t = Transpose<perm=[1,0,2]>(x)
        a = Relu(t)
        b = Transpose<perm=[1,0,2]>(a)
        r = Reshape(b,s)
        c = Neg(r)
        y = Reshape(c,u) }"""
    axes = found_axes(text, {"s": ints(12, 6), "u": ints(3, 4, 6)})
    assert axes["x"] == axes["y"] == axes["b"] == BatchAxis(0)
    assert axes["t"] == axes["a"] == BatchAxis(1)
    assert axes["r"] == axes["c"] == BatchAxis(0, 4)
