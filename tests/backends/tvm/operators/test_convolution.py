from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse, pruned

CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "1x1 of an input that repeats over all positions": (
        "g (float[1,6,1,1] x) => (float[1,5,4,4] y) { e = Expand(x,s)\n y = Conv(e,w,b) }",
        {"s": np.array([1, 6, 4, 4]), "w": pruned(5, 6, 1, 1), "b": (5,)},
    ),
    "1x1 of an input that repeats over the batch": (
        "g (float[1,6,4,4] x) => (float[3,5,4,4] y) { e = Expand(x,s)\n y = Conv(e,w) }",
        {"s": np.array([3, 6, 4, 4]), "w": pruned(5, 6, 1, 1)},
    ),
    "3x3 of an input that repeats over channels": (
        "g (float[2,1,4,4] x) => (float[2,5,4,4] y) { e = Expand(x,s)\n y = Conv<pads=[1,1,1,1]>(e,w) }",
        {"s": np.array([2, 6, 4, 4]), "w": pruned(5, 6, 3, 3)},
    ),
    "1x1 of a flipped input": (
        "g (float[1,6,3,5] x) => (float[1,5,3,5] y) { r = Slice(x,st,en,ax,step)\n y = Conv(r,w) }",
        {
            "w": pruned(5, 6, 1, 1),
            "st": np.array([-1, -1]),
            "en": np.array([-9, -9]),
            "ax": np.array([2, 3]),
            "step": np.array([-1, -1]),
        },
    ),
    "1x1 of one position": ("g (float[2,6,1,1] x) => (float[2,5,1,1] y) { y = Conv(x,w) }", {"w": pruned(5, 6, 1, 1)}),
    "1x1 of channels last": (
        "g (float[2,4,4,20] x) => (float[2,5,4,4] y) { t = Transpose<perm=[0,3,1,2]>(x)\n y = Conv(t,w) }",
        {"w": pruned(5, 20, 1, 1)},
    ),
    "1x1 with pads": (
        "g (float[2,6,5,5] x) => (float[2,4,7,8] y) { y = Conv<pads=[1,2,1,1]>(x,w,b) }",
        {"w": pruned(4, 6, 1, 1), "b": (4,)},
    ),
    "one output row and column": (
        "g (float[1,6,3,3] x) => (float[1,33,1,1] y) { y = Conv(x,w) }",
        {"w": pruned(33, 6, 3, 3)},
    ),
    "one output channel, one input channel": (
        "g (float[1,1,9,70] x) => (float[1,1,9,70] y) { y = Conv<pads=[1,2,1,2]>(x,w) }",
        {"w": pruned(1, 1, 3, 5, zeros=0.5)},
    ),
    "one axis, all of it a window": (
        "g (float[2,6,9] x) => (float[2,5,1] y) { y = Conv(x,w) }",
        {"w": pruned(5, 6, 9)},
    ),
    "one axis, dilated and strided": (
        "g (float[2,6,29] x) => (float[2,5,9] y) { y = Conv<strides=[3],dilations=[2],pads=[0,2]>(x,w,b) }",
        {"w": pruned(5, 6, 4), "b": (5,)},
    ),
    "auto_pad VALID": (
        'g (float[1,6,7,9] x) => (float[1,5,3,4] y) { y = Conv<auto_pad="VALID",strides=[2,2]>(x,w) }',
        {"w": pruned(5, 6, 3, 3)},
    ),
    "auto_pad SAME_UPPER": (
        'g (float[1,6,7,8] x) => (float[1,5,4,3] y) { y = Conv<auto_pad="SAME_UPPER",strides=[2,3]>(x,w) }',
        {"w": pruned(5, 6, 2, 4)},
    ),
    "a bias computed at run time": (
        "g (float[2,6,4,4] x, float[5] b) => (float[2,5,2,2] y) { n = Neg(b)\n y = Conv(x,w,n) }",
        {"w": pruned(5, 6, 3, 3)},
    ),
    "a row of zeros and a row without any": (
        "g (float[1,6,5,5] x) => (float[1,3,5,5] y) { y = Conv<pads=[1,1,1,1]>(x,w) }",
        {"w": np.concatenate([np.zeros((1, 6, 3, 3), "f4"), pruned(1, 6, 3, 3, zeros=0), pruned(1, 6, 3, 3, zeros=1)])},
    ),
    "nothing but zeros": (
        "g (float[1,6,5,5] x) => (float[1,3,5,5] y) { y = Conv<pads=[1,1,1,1]>(x,w,b) }",
        {"w": np.zeros((3, 6, 3, 3), "f4"), "b": (3,)},
    ),
    "a region that reads a transposed activation": (
        """g (float[2,6,4,3] x, float[3,4,5,2] r) => (float[2,5,4,3] y) {
            t = Transpose(r)
            c = Conv(x,w)
            a = Add(c,t)
            y = Relu(a) }""",
        {"w": pruned(5, 6, 1, 1)},
    ),
    "a region that reads one value an output row": (
        "g (float[2,6,4,3] x, float[4,1] r) => (float[2,5,4,3] y) { c = Conv<pads=[1,1,1,1]>(x,w)\n y = Mul(c,r) }",
        {"w": pruned(5, 6, 3, 3)},
    ),
    "a region that ends in another type": (
        "g (float[1,6,4,4] x) => (bool[1,5,4,4] y) { c = Conv(x,w)\n y = Greater(c,z) }",
        {"w": pruned(5, 6, 1, 1), "z": np.array(0.2, np.float32)},
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_dense_and_packed(name: str, packed: bool) -> None:  # noqa: FBT001
    model = parse(*CASES[name])
    result = run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model)
    assert len(result.rewrites) == 1
    assert_equal(compile_(result.model if packed else model), model)


DEPTHWISE: dict[str, tuple[str, dict[str, Initializer]]] = {
    "two outputs a channel": (
        "g (float[2,3,4,40] x) => (float[2,6,4,40] y) { y = Conv<group=3,pads=[1,1,1,1]>(x,w,b) }",
        {"w": (6, 1, 3, 3), "b": (6,)},
    ),
    "one axis": (
        "g (float[2,3,40] x) => (float[2,3,20] y) { y = Conv<group=3,pads=[1,1],strides=[2]>(x,w) }",
        {"w": (3, 1, 3)},
    ),
    "more taps than are written out": (
        "g (float[1,3,12,12] x) => (float[1,3,12,12] y) { y = Conv<group=3,pads=[3,3,3,3]>(x,w) }",
        {"w": (3, 1, 7, 7)},
    ),
    "dilated and strided, with a residual": (
        """g (float[2,3,13,13] x, float[2,3,6,6] r) => (float[2,3,6,6] y) {
            c = Conv<group=3,dilations=[2,3],strides=[2,2],pads=[1,1,2,3]>(x,w)
            a = Add(r,c)
            y = Relu(a) }""",
        {"w": (3, 1, 3, 3)},
    ),
    "groups of one output each but several inputs": (
        "g (float[1,6,5,5] x) => (float[1,3,5,5] y) { y = Conv<group=3,pads=[1,1,1,1]>(x,w) }",
        {"w": (3, 2, 3, 3)},
    ),
    "groups of 1x1": ("g (float[2,6,5,5] x) => (float[2,4,5,5] y) { y = Conv<group=2>(x,w) }", {"w": (4, 3, 1, 1)}),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", DEPTHWISE)
def test_groups(name: str, target: str) -> None:
    model = parse(*DEPTHWISE[name])
    assert_equal(compile_(model, target, threads=2), model)


SPARSE_GROUPS: dict[str, tuple[str, dict[str, Initializer]]] = {
    "3x3": (
        "g (float[2,32,9,11] x) => (float[2,48,9,11] y) { c = Conv<group=4,pads=[1,1,1,1]>(x,w,b)\n y = Relu(c) }",
        {"w": pruned(48, 8, 3, 3, zeros=0.9), "b": (48,)},
    ),
    "3x3 in strips": (
        "g (float[1,32,28,28] x) => (float[1,32,28,28] y) { y = Conv<group=2,pads=[1,1,1,1]>(x,w) }",
        {"w": pruned(32, 16, 3, 3, zeros=0.8)},
    ),
    "1x1": ("g (float[2,36,5,5] x) => (float[2,24,5,5] y) { y = Conv<group=3>(x,w) }", {"w": pruned(24, 12, 1, 1)}),
    "1x1 of whole vectors": (
        "g (float[1,64,8,8] x) => (float[1,64,8,8] y) { y = Conv<group=4>(x,w) }",
        {"w": pruned(64, 16, 1, 1, zeros=0.9)},
    ),
    "strided and dilated": (
        "g (float[1,20,15,13] x) => (float[1,10,6,5] y) { y = Conv<group=5,strides=[2,2],dilations=[2,2]>(x,w) }",
        {"w": pruned(10, 4, 3, 3)},
    ),
    "one axis": (
        "g (float[2,16,40] x) => (float[2,8,20] y) { y = Conv<group=2,strides=[2],pads=[2,1]>(x,w,b) }",
        {"w": pruned(8, 8, 4), "b": (8,)},
    ),
    "rows that share columns": (
        "g (float[1,16,9,9] x) => (float[1,16,9,9] y) { y = Conv<group=2,pads=[1,1,1,1]>(x,w) }",
        {"w": pruned(4, 8, 3, 3, zeros=0.8).repeat(4, axis=0)},
    ),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", SPARSE_GROUPS)
def test_zeros_of_groups_are_left_out(name: str, target: str) -> None:
    model = parse(*SPARSE_GROUPS[name])
    session = compile_(model, target, threads=2)
    assert session.kernels[-1].kernel.startswith("rows")
    assert_equal(session, model)


def test_groups_that_were_packed_are_multiplied_sparse() -> None:
    model = parse(*SPARSE_GROUPS["3x3"])
    packed = run_pass(PackWeights(), model).model
    assert "Conv" in [node.op_type for node in packed.graph] != ["Conv", "Relu"]
    session = compile_(packed)
    assert [note.kernel for note in session.kernels] == ["rows"]
    assert_equal(session, model)


def test_groups_without_zeros_stay_dense() -> None:
    text = "g (float[1,8,5,5] x) => (float[1,8,5,5] y) { y = Conv<group=2>(x,w) }"
    session = compile_(parse(text, {"w": (8, 4, 1, 1)}))
    assert [(note.kernel, note.eligible) for note in session.kernels] == [("dense", ("dense",))]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("group", [1, 6])
def test_a_bad_element_reaches_only_the_windows_that_hold_it(group: int, bad: float) -> None:
    text = f"g (float[2,6,7,9] x) => (float[2,6,7,9] y) {{ y = Conv<pads=[1,1,1,1],group={group}>(x,w) }}"
    model = parse(text, {"w": (6, 6 // group, 3, 3)})
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 9)).astype(np.float32)
    x[0, 2, 0, 8] = x[1, 5, 6, 0] = bad
    (ours,) = compile_(model).run(None, {"x": x})
    (theirs,) = session_for(model, optimize=False).run(None, {"x": x})
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
    assert np.count_nonzero(~np.isfinite(ours)) == (2 * 4 * 6 if group == 1 else 2 * 4)
