from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.graph.input_shapes import one_set, shape_sets
from graphprune_runtime import CompiledSession
from tests.backends.tvm.graphs import parse, pruned

CONVOLUTION = """g (float[n,3,9,9] x) => (float[n,5,9,9] y, int64[n,9,9] best) {
    c = Conv <pads = [1,1,1,1]> (x, w) y = Relu (c) best = ArgMax <axis = 1, keepdims = 0> (y) }"""

ATTENTION = """g (int64[n,6] ids, float[n,1,6] mask) => (float[n,6,8] y) {
    e = Gather (table, ids) k = Transpose <perm = [0,2,1]> (e) s = MatMul (e, k) m = Add (s, mask) a = Softmax (m)
    h = MatMul (a, e) f = MatMul (h, w) y = Add (f, e) }"""

FLATTEN = """g (float[n,4,5] x) => (float[n,7] y) {
    size = Shape <end = 1> (x) rest = Constant <value_ints = [-1]> () to = Concat <axis = 0> (size, rest)
    f = Reshape (x, to) y = MatMul (f, w) }"""

MODELS: dict[str, tuple[str, dict[str, tuple[int, ...] | np.ndarray]]] = {
    "convolution": (CONVOLUTION, {"w": pruned(5, 3, 3, 3)}),
    "attention": (ATTENTION, {"table": (11, 8), "w": pruned(8, 8)}),
    "flatten": (FLATTEN, {"w": pruned(20, 7)}),
    "extents that are small primes": (
        "g (float[n,3] x) => (float[n,5] y) { h = MatMul (x, w) y = MatMul (h, v) }",
        {"w": pruned(3, 7), "v": pruned(7, 5)},
    ),
    "no name": ("g (float[N,3] x) => (float[N,7] y) { y = MatMul (x, w) }", {"w": pruned(3, 7)}),
}


def feed_of(model: ir.Model, samples: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(samples)
    feed: dict[str, np.ndarray] = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        assert value.dtype is not None
        shape = (samples, *(dim for dim in value.shape[1:] if isinstance(dim, int)))
        drawn = rng.integers(0, 11, shape) if value.dtype == ir.DataType.INT64 else rng.standard_normal(shape)
        feed[value.name or ""] = drawn.astype(value.dtype.numpy())
    return feed


def compiled(model: ir.Model, threads: int = 1) -> CompiledSession:
    session = gp.compile(model, threads=threads)
    assert isinstance(session, CompiledSession)
    return session


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_samples(name: str, threads: int, tmp_path: Path) -> None:
    model = parse(*MODELS[name])
    if name == "no name":
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.shape = ir.Shape([None, *list(value.shape or ())[1:]])
    session, reference = compiled(model, threads), session_for(model, optimize=False)
    session.save(tmp_path / "m.so")
    for each in (session, gp.load_session(tmp_path / "m.so", threads)):
        for samples in (1, 2, 3, 4, 7, 32):
            feed = feed_of(model, samples)
            for ours, theirs in zip(each.run(None, feed), reference.run(None, feed), strict=True):
                assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_open_extent_is_said() -> None:
    session = compiled(parse(*MODELS["convolution"]))
    assert [info.shape for info in session.get_inputs()] == [("n", 3, 9, 9)]
    assert [info.shape for info in session.get_outputs()] == [("n", 5, 9, 9), ("n", 9, 9)]
    assert session.batch.samples is None


def test_inputs_must_have_as_many_samples() -> None:
    model = parse(*MODELS["attention"])
    feed = feed_of(model, 3) | {"mask": np.zeros((2, 1, 6), np.float32)}
    with pytest.raises(InputError, match=r"GP515"):
        compiled(model).run(None, feed)
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = ir.Shape([None, *list(value.shape or ())[1:]])
    with pytest.raises(InputError, match=r"input 'mask' has 2 samples, expected 3 as in 'ids' \[GP515\]"):
        compiled(model).run(None, feed)


def test_no_samples_are_refused() -> None:
    model = parse(*MODELS["convolution"])
    with pytest.raises(InputError, match="GP515"):
        compiled(model).run(None, {"x": np.zeros((0, 3, 9, 9), np.float32)})


def test_into_the_callers_arrays() -> None:
    model = parse(*MODELS["convolution"])
    session, feed = compiled(model, 2), feed_of(model, 5)
    outputs: dict[str, np.ndarray] = {"y": np.zeros((5, 5, 9, 9), np.float32), "best": np.zeros((5, 9, 9), np.int64)}
    session.run_with_buffers(feed, outputs)
    for name, array in outputs.items():
        np.testing.assert_array_equal(array, session.run([name], feed)[0])
    with pytest.raises(InputError, match="GP515"):
        session.run_with_buffers(feed, outputs | {"y": np.zeros((4, 5, 9, 9), np.float32)})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "g (float[n,3] x) => (float[n,3] y) { s = Shape <end = 1> (x) f = Cast <to = 1> (s) y = Div (x, f) }",
            "a sample depends on how many there are",
        ),
        (
            "g (float[n,3] x) => (float[n,3] y) { m = ReduceMean <keepdims = 1> (x, a) y = Sub (x, m) }",
            "(ReduceMean): it reduces over samples",
        ),
        ("g (float[n,3] x) => (float[1,3] y) { y = ReduceMean <keepdims = 1> (x, a) }", "it reduces over samples"),
        ("g (float[n,3] x) => (float[n,3] y) { y = CumSum (x, a0) }", "it is not known to treat samples"),
        ("g (float[n,3] x) => (float[n,3] y, float[2] c) { y = Relu (x) c = Relu (k) }", "output 'c' does not hold"),
    ],
)
def test_samples_that_are_not_independent_are_refused(text: str, why: str) -> None:
    constants = {"a": np.array([0]), "a0": np.array(0), "k": np.ones(2, np.float32)}
    model = parse(text, {name: array for name, array in constants.items() if re.search(rf"\b{name}\b", text)})
    with pytest.raises(InputError, match=rf"since they cannot be run one by one: .*{re.escape(why)}.*\[GP534\]"):
        gp.compile(model)


@pytest.mark.parametrize(
    "text",
    [
        "g (float[n,m] x) => (float[n,m] y) { y = Relu (x) }",
        "g (float[3,m] x) => (float[3,m] y) { y = Relu (x) }",
        "g (float[n,3] x, float[m,3] z) => (float[n,3] y, float[m,3] u) { y = Relu (x) u = Relu (z) }",
    ],
)
def test_other_open_dimensions_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"open dimensions in x: .*each extent as you need it \[GP534\]"):
        gp.compile(parse(text))


def test_an_input_without_elements_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="GP535"):
        gp.compile(parse("g (float[n,0] x) => (float[n,0] y) { y = Relu (x) }"))


def test_several_shapes_in_one_file(tmp_path: Path) -> None:
    text = "g (float[n,s,20] x, float[s,20] bias) => (float[n,s,30] y) {"
    model = parse(text + "a = Add (x, bias) h = MatMul (a, w) y = Relu (h) }", {"w": pruned(20, 30)})
    xs: list[tuple[int, ...]] = [(1, 16, 20), (1, 5, 20), (2, 5, 20)]
    shapes = {"x": xs, "bias": [x[1:] for x in xs]}
    session, reference = gp.compile(model, input_shapes=shapes), session_for(model, optimize=False)
    session.save(tmp_path / "m.so")
    rng = np.random.default_rng(0)
    for each in (session, gp.load_session(tmp_path / "m.so")):
        assert [info.shape for info in each.get_inputs()] == [(None, None, 20), (None, 20)]
        for x, bias in zip(*shapes.values(), strict=True):
            feed = {name: rng.standard_normal(s).astype(np.float32) for name, s in (("x", x), ("bias", bias))}
            np.testing.assert_allclose(each.run(None, feed)[0], reference.run(None, feed)[0], rtol=1e-5, atol=1e-5)
        with pytest.raises(InputError, match=r"x 3x5x20, bias 5x20, but for x 1x16x20, bias 16x20; .* \[GP519\]"):
            each.run(None, {"x": np.zeros((3, 5, 20), np.float32), "bias": np.zeros((5, 20), np.float32)})
    assert gp.verify(model, tmp_path / "m.so", cases=1).cases == 3


def test_weights_are_there_once(tmp_path: Path) -> None:
    text = "g (float[n,64] x) => (float[n,2048] y) { y = MatMul (x, w) }"
    model = parse(text, {"w": (64, 2048)})
    for name, shapes in {"one": [(64, 64)], "two": [(64, 64), (128, 64)]}.items():
        gp.compile(model, input_shapes={"x": shapes}).save(tmp_path / f"{name}.so")
    one, two = ((tmp_path / f"{name}.so").stat().st_size for name in ("one", "two"))
    assert two - one < 64 * 2048 * 4 / 2


def test_sets_of_shapes() -> None:
    assert shape_sets({}) == [{}]
    assert shape_sets({"x": (1, 2), "y": [(3,), (4,)]}) == [{"x": (1, 2), "y": (3,)}, {"x": (1, 2), "y": (4,)}]
    with pytest.raises(InputError, match=r"found 2 of 'x', 3 of 'y' \[GP538\]"):
        shape_sets({"x": [(1,), (2,)], "y": [(1,), (2,), (3,)]})
    with pytest.raises(InputError, match=r"given twice \[GP538\]"):
        shape_sets({"x": [(1,), (1,)]})
    with pytest.raises(InputError, match=r"2 sets of input shapes are given, expected one \[GP538\]"):
        one_set({"x": [(1,), (2,)]})


def test_verification_tries_several_numbers_of_samples(tmp_path: Path) -> None:
    model = parse(*MODELS["convolution"])
    gp.compile(model).save(tmp_path / "m.so")
    seen: list[int] = []
    report = gp.verify(model, tmp_path / "m.so", cases=1, on_case=seen.append)
    assert report.passed
    assert report.cases == len(seen) == 3
