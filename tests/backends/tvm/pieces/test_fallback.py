"""Models whose nodes run in part on ONNX Runtime, beside all of them there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.pieces import hosting
from graphprune.errors import BackendError, InputError, UnsupportedModelError
from graphprune_runtime.description import ProgramNote
from graphprune_runtime.hosted import HostedPiece
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import parse, pruned

X = np.random.default_rng(1).standard_normal((2, 8)).astype(np.float32)
W = {"w": pruned(8, 16), "v": pruned(16, 16)}

NON_ZERO = "g (float[2,8] x) => (int64[2,n] y, float[2,16] b) { a = MatMul(x,w) b = Relu(a) y = NonZero(b) }"
CALLED_BACK = """g (float[2,8] x) => (float[2,16] y, float[m] s) {
    a = MatMul(x,w) f = Reshape(a, flat) k = Greater(f, z) s = Compress(f, k)
    total = ReduceSum<keepdims=0>(s) t = Add(a, total) c = MatMul(t,v) y = Relu(c) }"""
BRANCH = """g (float[2,8] x) => (float[2,16] y) {
    a = MatMul(x,w) m = ReduceMax<keepdims=0>(a) t = Greater(m, z)
    b = If (t) <then_branch = p () => (float[2,16] e) { e = Exp (a) },
                else_branch = q () => (float[2,16] f) { f = MatMul (a, v) }>
    y = MatMul(b, v) }"""
LOOP = """g (float[2,8] x, int64 n) => (float[2,16] y) {
    a = MatMul(x,w)
    b = Loop (n, yes, a) <body = l (int64 i, bool go, float[2,16] c) => (bool on, float[2,16] d)
        { on = Identity (go) e = MatMul (c, v) f = Mul (e, tenth) d = Add (f, a) }>
    y = MatMul(b, v) }"""
SEQUENCE = """g (float[2,8] x) => (float[2,16] y) {
    a = MatMul(x,w) b = MatMul(a,v)
    s = SequenceConstruct(a, b) c = MatMul(b, v) u = SequenceInsert(s, c) d = SequenceAt(u, two) y = Add(d, c) }"""
TEXTS = """g (float[2,8] x, string[2] names) => (string[2] same, float[2,16] y) {
    same = Identity(names) a = MatMul(x,w)
    h = Equal(names, names) i = Cast<to=1>(h) j = Reshape(i, column) y = Mul(a, j) }"""
CONSTANTS: dict[str, np.ndarray] = {
    **W,
    "z": np.zeros((), np.float32),
    "tenth": np.array([0.1], np.float32),
    "yes": np.array(True),  # noqa: FBT003 - a tensor
    "two": np.array(2),
    "column": np.array([2, 1]),
    "flat": np.array([-1]),
}


def model(text: str) -> ir.Model:
    return parse(text, {name: value for name, value in CONSTANTS.items() if name in text})


def fall_back(graph: ir.Model, threads: int = 1) -> CompiledSession:
    session = gp.compile(graph, threads=threads, fallback="onnxruntime")
    assert isinstance(session, CompiledSession)
    return session


def shape_of(session: CompiledSession) -> str:
    """Its pieces, as `code host code`."""
    pieces = session.description.programs[0].pieces
    return " ".join("host" if isinstance(piece, HostedPiece) else "code" for piece in pieces)


FEEDS = {LOOP: {"n": np.array(3)}, TEXTS: {"names": np.array(["a", "b"], object)}}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (NON_ZERO, "code host"),
        (CALLED_BACK, "code host code"),
        (BRANCH, "code host code"),
        (LOOP, "code host"),
        (SEQUENCE, "code host"),
        (TEXTS, "host code"),
    ],
    ids=["NonZero", "Compress", "If", "Loop", "sequence", "strings"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_the_same_function(text: str, pieces: str, threads: int, tmp_path: Path) -> None:
    graph, feed = model(text), {"x": X, **FEEDS.get(text, {})}
    with pytest.raises(UnsupportedModelError, match=r"--fallback onnxruntime .*\[GP401\]"):
        gp.compile(graph)
    session = fall_back(graph, threads)
    assert shape_of(session) == pieces
    session.save(tmp_path / "m.so")
    expected = session_for(graph, optimize=False).run(None, feed)
    for each in (session, gp.load_session(tmp_path / "m.so", threads)):
        for given, wanted in zip(each.run(None, feed), expected, strict=True):
            assert (given.dtype, given.shape) == (wanted.dtype, wanted.shape)
            if wanted.dtype == object:
                assert given.tolist() == wanted.tolist()
            else:
                np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4)


OPAQUE = """<ir_version: 10, opset_import: ["" : 20, "{domain}" : 1]>
g (float[2,8] x) => (float[2,n] y) {declared} {{
    a = MatMul(x,w) d = {domain}.CDist<metric="euclidean">(a,a) y = {then} }}"""


def opaque(domain: str, then: str = "MatMul(d,d)", declared: str = "", **weights: tuple[int, ...]) -> ir.Model:
    proto = onnx.parser.parse_model(OPAQUE.format(domain=domain, then=then, declared=declared))
    for name, array in {"w": W["w"], **{name: pruned(*shape) for name, shape in weights.items()}}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def test_operators_of_other_domains_are_hosted() -> None:
    graph = opaque("com.microsoft")
    session = fall_back(graph)
    assert shape_of(session) == "code host"
    assert session.description.hosted[0].nodes[0].operator == "com.microsoft::CDist"
    np.testing.assert_allclose(session.run(None, {"x": X})[0], session_for(graph).run(None, {"x": X})[0], rtol=1e-5)


def test_operators_that_nobody_knows_are_refused() -> None:
    with pytest.raises(BackendError, match=r"onnxruntime: .*CDist.*\[GP483\]"):
        fall_back(opaque("nobody"))


def test_what_runs_where_is_said() -> None:
    program = fall_back(model(CALLED_BACK)).description.programs[0]
    (piece,) = program.hosted
    assert [(node.operator, node.why) for node in piece.nodes] == [
        ("Compress", "there is no kernel for this operator"),
        ("ReduceSum", "the shape of 's' is only known when it runs"),
    ]
    assert program.batch.why == "it runs in 3 pieces, 1 of them on ONNX Runtime"
    assert [call.kernel for call in program.calls].count("onnxruntime") == 1
    assert [note.node for note in program.kernels] == ["MatMul_0", "MatMul_6"]


def test_a_model_without_such_nodes_is_compiled_as_ever() -> None:
    session = fall_back(model("g (float[n,8] x) => (float[n,16] y) { y = MatMul(x,w) }"))
    assert session.description.programs[0].pieces == ()
    assert session.run(None, {"x": np.repeat(X, 3, axis=0)})[0].shape == (6, 16)


def test_outputs_that_no_node_makes() -> None:
    graph = model("g (float[2,8] x) => (float[2,8] x, int64[2,n] y, float[8,16] w) { a = MatMul(x,w) y = NonZero(a) }")
    same, _, weight = fall_back(graph).run(None, {"x": X})
    assert same is not X
    np.testing.assert_array_equal(same, X)
    np.testing.assert_array_equal(weight, W["w"])


def test_several_shapes_share_the_weights() -> None:
    graph = model(NON_ZERO.replace("[2,8]", "[rows,8]").replace("[2,16]", "[rows,16]"))
    session = gp.compile(graph, fallback="onnxruntime", input_shapes={"x": [(2, 8), (3, 8)]})
    for rows in (2, 3):
        x = np.resize(X, (rows, 8))
        for given, wanted in zip(session.run(None, {"x": x}), session_for(graph).run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_an_open_number_of_samples_is_refused() -> None:
    with pytest.raises(InputError, match=r"since some nodes run on ONNX Runtime \[GP534\]"):
        fall_back(model(NON_ZERO.replace("[2,8]", "[rows,8]").replace("[2,16]", "[rows,16]")))


def test_a_model_that_has_no_kernel_at_all_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"no node of the model can be lowered, run it .* \[GP495\]"):
        fall_back(model("g (float[2,8] x) => (int64[2,n] y) { y = NonZero(x) }"))


def test_types_that_do_not_pass_are_refused() -> None:
    text = "g (float[2,8] x) => (int64[2,n] y) { a = MatMul(x,w) b = Cast<to=16>(a) y = NonZero(b) }"
    with pytest.raises(UnsupportedModelError, match=r"value 'b' of BFLOAT16 would pass between .*\[GP488\]"):
        fall_back(model(text))


def test_pieces_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "MOST_BYTES", 30)
    with pytest.raises(UnsupportedModelError, match=r"GB of weights cannot be handed to .* \[GP489\]"):
        fall_back(model(BRANCH))


def test_another_fallback_is_refused() -> None:
    with pytest.raises(InputError, match=r"fallback is 'ort', expected None or 'onnxruntime' \[GP496\]"):
        gp.compile(model(NON_ZERO), fallback="ort")


@pytest.mark.parametrize("name", ["m.a", "m.o"])
def test_it_is_not_linked_statically(name: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"has no ONNX Runtime, and some nodes run on it \[GP497\]"):
        fall_back(model(NON_ZERO)).save(tmp_path / name)


def test_parts_are_timed_as_calls() -> None:
    session = fall_back(model(CALLED_BACK))
    seconds = session.time_kernels({"x": X}, 2)
    assert [len(run) for run in seconds] == [len(session.calls)] * 2
    assert all(second > 0 for run in seconds for second in run)


def test_outputs_are_allocated() -> None:
    session = fall_back(model(CALLED_BACK))
    with pytest.raises(InputError, match=r"allocates its outputs, use run \[GP486\]"):
        session.run_with_buffers({"x": X}, {"y": np.empty((2, 16), np.float32), "s": np.empty(3, np.float32)})


def test_it_needs_onnxruntime_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fall_back(model(CALLED_BACK)).save(tmp_path / "m.so")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"on ONNX Runtime: pip install onnxruntime \[GP485\]"):
        gp.load_session(tmp_path / "m.so")


def test_a_failure_there_is_one_line() -> None:
    text = CALLED_BACK.replace("float[2,8] x", "float[2,8] x, int64[1] i").replace("float[m] s)", "float[1] g)")
    graph = model(text.replace("total = ", "g = Gather(s, i) total = "))
    with pytest.raises(BackendError, match=r"onnxruntime: .*Gather.*out of .*bounds.*\[GP481\]"):
        fall_back(graph).run(None, {"x": X, "i": np.array([5000])})


def test_shapes_other_than_the_model_says_are_refused() -> None:
    """Code follows shapes unchecked; an operator that nobody knows may give others than its file declares."""
    graph = opaque("com.microsoft", then="MatMul(d,u)", declared="<float[2,3] d>", u=(3, 4))
    session = fall_back(graph)
    assert shape_of(session) == "code host code"
    with pytest.raises(InputError, match=r"input 'd' has extent 2 at axis 1, expected 3: .* \[GP515\]"):
        session.run(None, {"x": X})


def test_the_notes_survive_the_file() -> None:
    note = fall_back(model(CALLED_BACK)).description
    assert type(note).from_json(note.to_json()) == note
    assert [isinstance(piece, ProgramNote) for piece in note.programs[0].pieces] == [True, False, True]
