"""Channels whose scale can change: who makes and reads them, and what is in the way."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.analysis.scalable import scalable_channels
from graphprune.passes.shape_inference import infer_shapes
from tests.backends.tvm.graphs import Initializer, parse

PLANES = "g (float[1,4,6,6] x) => (float[1,4,n,m] y) {{ {} }}"
ROWS = "g (float[2,3,8] x) => (float[2,3,4] y) {{ {} }}"
KERNELS: dict[str, Initializer] = {"w": (6, 4, 3, 3), "v": (4, 6, 1, 1), "b": (6,), "d": (6, 1, 3, 3)}
MATRICES: dict[str, Initializer] = {
    "w": (8, 6), "v": (6, 4), "u": (6, 4), "t": (4, 6), "b": (6,), "g": (8,), "f": (8,), "k": (8, 4), "scalar": (),
}  # fmt: skip

FOUND = {
    "Relu between": (PLANES, "h = Conv(x,w,b) a = Relu(h) y = Conv(a,v)", KERNELS, [("h", ["w", "b"], ["v"], ["a"])]),
    "depthwise between": (
        PLANES,
        "h = Conv(x,w) c = Conv<group=6>(h,d,b) a = LeakyRelu(c) y = Conv(a,v)",
        KERNELS,
        [("h", ["w"], ["d"], ["h"]), ("c", ["d", "b"], ["v"], ["a"])],
    ),
    "pools and slopes": (
        PLANES,
        "h = Conv(x,w) a = PRelu(h,s) m = MaxPool<kernel_shape=[2,2]>(a) c = GlobalAveragePool(m) y = Conv(c,v)",
        KERNELS | {"s": (6, 1, 1)},
        [("h", ["w"], ["v"], ["c"])],
    ),
    "two readers": (
        ROWS,
        "h = MatMul(x,w) a = Add(b,h) c = MatMul(a,v) d = MatMul(a,u) y = Add(c,d)",
        MATRICES,
        [("a", ["w", "b"], ["v", "u"], ["a"])],
    ),
    "a norm": (
        ROWS,
        "h = LayerNormalization(x,g,f) y = MatMul(h,k)",
        MATRICES,
        [("h", ["g", "f"], ["k"], ["h"])],
    ),
    "a norm written out": (
        ROWS,
        "n = Tanh(x) s = Mul(g,n) h = Add(s,f) y = MatMul(h,k)",
        MATRICES,
        [("h", ["g", "f"], ["k"], ["h"])],
    ),
    "flattened rows and transposed weights": (
        "g (float[2,3,8] x) => (float[6,4] y) {{ {} }}",
        "q = Transpose(p) h = MatMul(x,q) r = Reshape(h,shape) y = Gemm<transB=1>(r,t)",
        MATRICES | {"p": (6, 8), "shape": np.array([6, 6])},
        [("h", ["p"], ["t"], ["r"])],
    ),
}


@pytest.mark.parametrize(("graph", "nodes", "initializers", "expected"), FOUND.values(), ids=FOUND)
def test_sites(graph: str, nodes: str, initializers: dict[str, Initializer], expected: list[object]) -> None:
    model = parse(graph.format(nodes), initializers)
    infer_shapes(model)
    found = [
        (
            site.name,
            [each.value.name for each in site.makers],
            [each.value.name for each in site.readers],
            [value.name for value in site.read],
        )
        for site in scalable_channels(model)[0]
    ]
    assert found == expected


SKIPPED = {
    "Relu6": (PLANES, "[p] h = Conv(x,w) [c] a = Clip(h,,six) y = Conv(a,v)", "node 'c' (Clip) reads them"),
    "a residual": (PLANES, "[p] h = Conv(x,one) c = Conv(h,two) [r] y = Add(c,h)", "node 'r' (Add) reads them"),
    "another activation": (ROWS, "[p] h = MatMul(x,w) [c] a = Gelu(h) y = MatMul(a,v)", "node 'c' (Gelu) reads them"),
    "a norm and a residual": (
        ROWS,
        "[p] h = LayerNormalization(x,g) c = MatMul(h,k) [r] r = ReduceMax(h) y = Add(c,r)",
        "node 'r' (ReduceMax) reads them",
    ),
    "an output": ("g (float[2,8] x) => (float[2,6] y) {{ {} }}", "[p] y = MatMul(x,w)", "'y' is an output"),
    "a shared weight": (
        ROWS,
        "[p] h = MatMul(x,w) c = MatMul(h,v) [q] d = MatMul(x,w) [e] e = MatMul(d,u) y = Add(c,e)",
        "'w', which node 'p' (MatMul) reads, is read by others too [GP399]",
    ),
    "a computed shift": (
        "g (float[2,3,8] x, float[8] f) => (float[2,3,4] y) {{ {} }}",
        "[p] h = LayerNormalization(x,g,f) y = MatMul(h,k)",
        "input 2 of node 'p' (LayerNormalization) is not one constant for each channel [GP399]",
    ),
    "another axis": (
        "g (float[2,8,8] x) => (float[2,8,8] y) {{ {} }}",
        "[p] h = LayerNormalization(x,g) [m] y = MatMul(w8,h)",
        "node 'm' (MatMul) reads them",
    ),
    "rows cut to heads": (
        "g (float[2,3,8] x) => (float[2,3,2,4] y) {{ {} }}",
        "[p] h = MatMul(x,w) [r] r = Reshape(h,heads) y = MatMul(r,small)",
        "node 'r' (Reshape) reads them",
    ),
    "a pool along rows": (
        ROWS,
        "[p] h = MatMul(x,w) [m] a = MaxPool<kernel_shape=[2],pads=[1,0]>(h) y = MatMul(a,v)",
        "node 'm' (MaxPool) reads them",
    ),
    "a weight of doubles": (
        "g (double[2,8] x) => (double[2,8] y) {{ {} }}",
        "[p] h = MatMul(x,wide) y = MatMul(h,wider)",
        "'wide', which node 'p' (MatMul) reads, is of DOUBLE [GP399]",
    ),
}
OTHERS: dict[str, Initializer] = {
    "six": np.array(6, np.float32), "w8": (8, 8), "wide": np.ones((8, 8)), "wider": np.ones((8, 8)),
    "heads": np.array([2, 3, 2, 3]), "small": (3, 4), "one": (4, 4, 1, 1), "two": (4, 4, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "nodes", "expected"), SKIPPED.values(), ids=SKIPPED)
def test_skips(graph: str, nodes: str, expected: str) -> None:
    model = parse(graph.format(nodes), (KERNELS if "Conv" in nodes else MATRICES) | OTHERS)
    infer_shapes(model)
    skips = [str(skip) for skip in scalable_channels(model)[1]]
    assert any(skip.startswith("p: ") and expected in skip for skip in skips), skips


@pytest.mark.parametrize("nodes", ["y = Mul(x,scalar)", "y = Add(x,g)", "y = LayerNormalization<axis=1>(x,whole)"])
def test_what_makes_no_channels(nodes: str) -> None:
    model = parse(f"g (float[2,3,8] x) => (float[2,3,8] y) {{ {nodes} }}", MATRICES | {"whole": (3, 8)})
    infer_shapes(model)
    assert scalable_channels(model) == ([], [])
