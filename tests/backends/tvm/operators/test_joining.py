from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import BackendError
from tests.backends.tvm.graphs import Initializer, assert_equal, compile_, parse

CASES: dict[str, tuple[str, dict[str, Initializer]]] = {
    "concat along the last axis": (
        "g (float[2,3] x, float[2,37] z) => (float[2,40] y) { y = Concat<axis=-1>(x,z) }",
        {},
    ),
    "concat along an inner axis": (
        "g (float[2,3,5] x, float[2,1,5] z) => (float[2,7,5] y) { y = Concat<axis=1>(x,z,x) }",
        {},
    ),
    "concat of views and a constant": (
        """g (float[3,4] x) => (float[4,8] y) {
            t = Transpose(x)
            e = Expand(c,s)
            y = Concat<axis=1>(t,e,t) }""",
        {"c": (4, 1), "s": np.array([4, 2])},
    ),
    "concat of one": ("g (float[3,4] x) => (float[3,4] y) { y = Concat<axis=1>(x) }", {}),
    "concat with an empty part": (
        "g (float[3,4] x) => (float[3,4] y) { e = Slice(x,st,en)\n y = Concat<axis=0>(e,x) }",
        {"st": np.array([2]), "en": np.array([1])},
    ),
    "concat that is read channel-major": (
        "g (float[1,1,4] c, float[1,9,4] x) => (float[1,10,5] y) { t = Concat<axis=1>(c,x)\n y = MatMul(t,w) }",
        {"w": (4, 5)},
    ),
    "concat of other types": (
        """g (int64[2] a, int64[3] b, bool[2] c, bool[3] d) => (int64[5] y, bool[5] z) {
            y = Concat<axis=0>(a,b)
            z = Concat<axis=0>(c,d) }""",
        {},
    ),
    "gather of one row, counted from the end": (
        "g (float[3,4] x) => (float[4] y) { y = Gather(x,i) }",
        {"i": np.array(-1)},
    ),
    "gather of one element of a vector": ("g (float[5] x) => (float y) { y = Gather(x,i) }", {"i": np.array(3)}),
    "gather backwards": (
        "g (float[3,7] x) => (float[3,3] y) { y = Gather<axis=-1>(x,i) }",
        {"i": np.array([5, -4, 1])},
    ),
    "gather of uneven rows": (
        "g (float[3,7] x) => (float[3,4] y) { y = Gather<axis=1>(x,i) }",
        {"i": np.array([0, 5, 1, -1])},
    ),
    "gather of one row, repeated": (
        "g (float[3,7] x) => (float[2,7] y) { y = Gather(x,i) }",
        {"i": np.array([1, 1])},
    ),
    "gather into two axes": (
        "g (float[3,7] x) => (float[3,2,3] y) { y = Gather<axis=1>(x,i) }",
        {"i": np.arange(6).reshape(2, 3)},
    ),
    "gather of views by views": (
        """g (float[5,3] x, int64[4,3] i) => (float[3,2,5] y) {
            t = Transpose(x)
            j = Transpose(i)
            k = Slice(j,st,en,ax)
            y = Gather(t,k) }""",
        {"st": np.array([1]), "en": np.array([3]), "ax": np.array([1])},
    ),
    "gather_nd of rows, of elements and of one": (
        """g (float[2,3,4] x, int64[5,2] i, int64[5,3] j, int64[1] k) => (float[5,4] a, float[5] b, float[3,4] c) {
            a = GatherND(x,i)
            b = GatherND(x,j)
            c = GatherND(x,k) }""",
        {},
    ),
}


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("name", CASES)
def test_equals_onnxruntime(name: str, target: str) -> None:
    model = parse(*CASES[name])
    assert_equal(compile_(model, target, threads=2), model)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_indices_may_count_from_the_end(dtype: str) -> None:
    text = f"""g (float[5,3] x, {dtype}[2,2] i) => (float[2,2,3] y, float[5,2,2] z) {{
        y = Gather(x,i)
        z = Gather<axis=1>(x,i) }}"""
    model = parse(text)
    feed = {
        "x": np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32),
        "i": np.array([[-1, 2], [-3, 0]], dtype),
    }
    expected = session_for(model, optimize=False).run(None, feed)
    for ours, theirs in zip(compile_(model).run(None, feed), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("bad", [5, -6, 2**31, 2**32, -(2**62)])
def test_an_index_outside_stops_the_run_and_names_the_node(bad: int) -> None:
    text = "g (float[5,3] x, int64[2] i) => (float[2,3] y) { [table] y = Gather(x,i) }"
    session = compile_(parse(text))
    x = np.ones((5, 3), np.float32)
    with pytest.raises(BackendError, match=r"node 'table' \(Gather\): index outside the 5 rows.*GP413"):
        session.run(None, {"x": x, "i": np.array([0, bad])})
    (y,) = session.run(None, {"x": x, "i": np.array([0, -5])})
    np.testing.assert_array_equal(y, np.ones((2, 3)))


@pytest.mark.parametrize("bad", [(0, 4), (2, 0), (0, -5), (2**32, 0)])
def test_an_index_outside_an_axis_stops_the_run(bad: tuple[int, int]) -> None:
    text = "g (float[2,4,3] x, int64[2,2] i) => (float[2,3] y) { [corner] y = GatherND(x,i) }"
    session = compile_(parse(text))
    x = np.ones((2, 4, 3), np.float32)
    with pytest.raises(BackendError, match=r"node 'corner' \(GatherND\): index outside .*GP413"):
        session.run(None, {"x": x, "i": np.array([(1, 3), bad])})
