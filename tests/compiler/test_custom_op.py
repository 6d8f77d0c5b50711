"""Exported models beside our own sessions, and beside ONNX Runtime on the models that they were made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

import graphprune
from graphprune.compiler import custom_op
from graphprune.compiler.custom_op import export_for_onnxruntime
from graphprune.errors import InputError, ModelFileError, UnsupportedModelError
from graphprune.verification.feeds import random_feed
from graphprune_runtime.description import Origin
from graphprune_runtime.file import CompiledFile
from graphprune_runtime.interface import TensorInfo
from graphprune_runtime.loading import load_session
from tests.backends.tvm.graphs import assert_equal, parse, pruned
from tests.compiler.exported import assert_same, options_for, session_of

LINEAR = "g (float[1,10,32] x) => (float[1,10,48] y, float[1,10,48] z) { y = MatMul(x,w)\n z = Relu(y) }"
GATHER = "g (int64[4,3] i) => (float[4,3,2] y) { y = Gather(t,i) }"


def linear() -> ir.Model:
    return parse(LINEAR, {"w": pruned(32, 48)})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "linear.onnx"
    export_for_onnxruntime(linear(), path)
    return path


MODELS = {
    "linear": LINEAR,
    "indices and a mask": """
        g (int64[3,5] i, bool[3,5] m, float[10,4] t) => (float[3,5,4] y, bool[3,5] n, int64[3,5] j) {
        g = Gather(t,i) a = Constant <value = int64[1] {-1}> () u = Unsqueeze(m,a) o = Not(m) n = Identity(o)
        z = Constant <value = float {0}> () y = Where(u,g,z) j = Add(i,i) }""",
    "half precision": "g (float16[2,3] x) => (float16[2,3] y, float[2,3] z) { y = Neg(x) z = Cast<to=1>(x) }",
    "small integers": """g (uint8[4] x, int8[4] s) => (int32[4] y, uint8[4] z) {
        a = Cast<to=6>(x) b = Cast<to=6>(s) y = Add(a,b) z = Identity(x) }""",
    "double": "g (double[2,3] x, int32[3] k) => (double[2,3] y, int32[3] l) { y = Neg(x) l = Neg(k) }",
    "scalars": "g (float x) => (float y) { y = Neg(x) }",
    "no inputs": "g () => (float[3] y) { c = Constant <value = float[3] {1,2,3}> () y = Neg(c) }",
}


@pytest.mark.parametrize("name", MODELS)
def test_equals_our_session_and_the_original(name: str, tmp_path: Path) -> None:
    model = parse(MODELS[name], {"w": pruned(32, 48)} if "(x,w)" in MODELS[name] else {})
    ours = export_for_onnxruntime(model, tmp_path / "m.onnx")
    theirs = session_of(tmp_path / "m.onnx")
    feed = random_feed(ours.get_inputs(), 0)
    assert_same(theirs.run(None, feed), ours.run(None, feed))
    assert_equal(ours, model)


def test_interface_and_origin_are_in_the_file(exported: Path) -> None:
    onnx.checker.check_model(str(exported), full_check=True)
    proto = onnx.load(exported)
    (node,) = proto.graph.node
    assert (proto.producer_name, node.op_type, node.name) == ("graphprune", "Model", "g")
    assert [(each.domain, each.version) for each in proto.opset_import] == [(node.domain, 1)]
    assert node.domain.startswith("graphprune.")
    assert [(each.name, each.i) for each in node.attribute] == [("threads", 1)]
    metadata = {each.key: each.value for each in proto.metadata_props}
    assert metadata["graphprune.target"]
    assert "fma" in metadata["graphprune.features"]
    session = session_of(exported)
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("x", "tensor(float)", [1, 10, 32])
    ]
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("y", [1, 10, 48]), ("z", [1, 10, 48])]


def test_what_is_known_of_the_origin_is_kept() -> None:
    description = SimpleNamespace(
        target="x86-64-v3", features=("avx2", "fma"), origin=Origin(fingerprint="ab", zeros=3)
    )
    assert custom_op._metadata(description) == {  # type: ignore[arg-type]
        "graphprune.target": "x86-64-v3",
        "graphprune.features": "avx2 fma",
        "graphprune.fingerprint": "ab",
        "graphprune.zeros": "3",
    }


def test_open_extents_keep_their_names() -> None:
    value = custom_op._value(TensorInfo("x", ("batch", None, 3), np.dtype(np.float16)))
    assert (value.dtype, value.shape) == (ir.DataType.FLOAT16, ir.Shape(["batch", None, 3]))


def test_the_library_is_an_ordinary_compiled_file(exported: Path) -> None:
    loaded = load_session(exported.with_suffix(".so"))
    feed = random_feed(loaded.get_inputs(), 0)
    assert_same(session_of(exported).run(None, feed), loaded.run(None, feed))


def test_beside_ordinary_nodes(exported: Path) -> None:
    proto = onnx.load(exported)
    float_type = TensorProto.FLOAT
    before = helper.make_node("Abs", ["in"], ["x"])
    after = [helper.make_node("Transpose", ["z"], ["t"], perm=[0, 2, 1]), helper.make_node("Add", ["y", "y"], ["yy"])]
    outputs = [("t", [1, 48, 10]), ("yy", [1, 10, 48])]
    graph = helper.make_graph(
        [before, *proto.graph.node, *after],
        "larger",
        [helper.make_tensor_value_info("in", float_type, [1, 10, 32])],
        [helper.make_tensor_value_info(name, float_type, shape) for name, shape in outputs],
    )
    larger = helper.make_model(graph, opset_imports=[*proto.opset_import, helper.make_opsetid("", 17)], ir_version=8)
    larger_path = exported.with_name("larger.onnx")
    onnx.save(larger, larger_path)
    x = np.random.default_rng(0).standard_normal((1, 10, 32)).astype(np.float32)
    transposed, doubled = session_of(larger_path, options_for(exported)).run(None, {"in": x})
    y, z = load_session(exported.with_suffix(".so")).run(None, {"x": np.abs(x)})
    assert_same([transposed, doubled], [z.transpose(0, 2, 1), y + y])


def test_twice_in_one_graph(exported: Path) -> None:
    proto = onnx.load(exported)
    first = proto.graph.node[0]
    second = helper.make_node(
        first.op_type, ["x2"], ["y2", "z2"], domain=first.domain
    )  # one thread unless it says more
    graph = helper.make_graph(
        [first, second],
        "twice",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 10, 32]) for name in ("x", "x2")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 10, 48]) for name in ("z", "z2")],
    )
    twice = exported.with_name("twice.onnx")
    onnx.save(helper.make_model(graph, opset_imports=proto.opset_import, ir_version=8), twice)
    feeds = [random_feed([TensorInfo("x", (1, 10, 32), np.dtype(np.float32))], seed)["x"] for seed in (0, 1)]
    ours = load_session(exported.with_suffix(".so"))
    found = session_of(twice, options_for(exported)).run(None, {"x": feeds[0], "x2": feeds[1]})
    assert_same(found, [ours.run(["z"], {"x": x})[0] for x in feeds])


def test_two_models_in_one_process_and_one_session_options(exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "gather.onnx"
    gather = export_for_onnxruntime(parse(GATHER, {"t": (10, 2)}), other)
    options = options_for(exported, other)
    sessions = [session_of(exported, options), session_of(other, options), session_of(exported), session_of(other)]
    linear_feed = random_feed(load_session(exported.with_suffix(".so")).get_inputs(), 0)
    gather_feed = {"i": np.arange(12).reshape(4, 3) % 10}
    assert_same(sessions[0].run(None, linear_feed), sessions[2].run(None, linear_feed))
    for session in sessions[1::2]:
        assert_same(session.run(None, gather_feed), gather.run(None, gather_feed))


def test_models_without_weights_are_told_apart(tmp_path: Path) -> None:
    """Their descriptions are the same; only their code differs."""
    x = np.array([-1, 1], np.float32)
    paths = [tmp_path / "first.onnx", tmp_path / "second.onnx"]
    for path, alpha in zip(paths, (0.25, 0.5), strict=True):
        text = f"g (float[2] x) => (float[2] y) {{ y = LeakyRelu<alpha={alpha}>(x) }}"
        export_for_onnxruntime(parse(text), path)
    options = options_for(*paths)
    found = [session_of(path, options).run(None, {"x": x})[0][0] for path in paths]
    assert found == [-0.25, -0.5]


@pytest.mark.parametrize("threads", [1, 2])
def test_many_threads_run_one_session(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    text = "g (float[1,32,12,12] x) => (float[1,24,12,12] y) { c = Conv (x, w) y = Relu (c) }"
    ours = export_for_onnxruntime(parse(text, {"w": pruned(24, 32, 1, 1)}), path, threads=threads)
    assert onnx.load(path).graph.node[0].attribute[0].i == threads
    theirs = session_of(path)
    feeds = [random_feed(ours.get_inputs(), seed) for seed in range(16)]
    expected = [ours.run(None, feed) for feed in feeds]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for found, wanted in zip(pool.map(lambda feed: theirs.run(None, feed), feeds), expected, strict=True):
                assert_same(found, wanted)


def test_a_library_that_is_replaced_later_does_not_matter(tmp_path: Path) -> None:
    path, feed = tmp_path / "m.onnx", random_feed([TensorInfo("x", (1, 10, 32), np.dtype(np.float32))], 0)
    ours = export_for_onnxruntime(linear(), path)
    options = options_for(path)
    session = session_of(path, options)
    kept = path.read_bytes()
    export_for_onnxruntime(parse(GATHER, {"t": (10, 2)}), path)
    assert_same(session.run(None, feed), ours.run(None, feed))
    del session
    path.write_bytes(kept)
    assert_same(session_of(path, options).run(None, feed), ours.run(None, feed))  # what was registered stays open


def test_a_file_does_not_run_on_the_library_of_another_model(exported: Path, tmp_path: Path) -> None:
    export_for_onnxruntime(parse(LINEAR, {"w": pruned(32, 48, zeros=0.5)}), tmp_path / "other.onnx")
    with pytest.raises(Exception, match="Model"):
        session_of(exported, options_for(tmp_path / "other.onnx"))


def test_libraries_are_unloaded(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_for_onnxruntime(linear(), path, threads=2)
    for _ in range(3):
        session = session_of(path)
        session.run(None, {"x": np.zeros((1, 10, 32), np.float32)})
        assert str(tmp_path) in Path("/proc/self/maps").read_text(encoding="utf-8")
        del session
        assert str(tmp_path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_it_is_public() -> None:
    assert graphprune.export_for_onnxruntime is export_for_onnxruntime


def test_the_library_is_written_first(tmp_path: Path) -> None:
    """Who sees the new node sees its library; whoever sees an old one beside it is told by ONNX Runtime."""
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(ModelFileError, match="GP106"):
        export_for_onnxruntime(linear(), tmp_path / "m.onnx")
    with (tmp_path / "m.so").open("rb") as file:
        assert CompiledFile.read(file, "m").description.target
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.so"]


def test_any_number_of_samples_and_several_shapes(tmp_path: Path) -> None:
    model = parse("g (float[n,32] x) => (float[n,48] y) { y = MatMul(x,w) }", {"w": pruned(32, 48)})
    for path, shapes in ((tmp_path / "any.onnx", None), (tmp_path / "some.onnx", {"x": [(2, 32), (5, 32)]})):
        ours = export_for_onnxruntime(model, path, input_shapes=shapes)
        session = session_of(path)
        for n in (2, 5):
            x = np.random.default_rng(n).standard_normal((n, 32)).astype(np.float32)
            assert_same(session.run(None, {"x": x}), ours.run(None, {"x": x}))
    with pytest.raises(Exception, match="GP515"):
        session.run(None, {"x": np.zeros((3, 32), np.float32)})


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'.*m.so' has suffix '.so', expected .onnx; .* \[GP621\]"):
        export_for_onnxruntime(linear(), tmp_path / "m.so")
    with pytest.raises(InputError, match=r"export_for_onnxruntime: model is the path 'm.onnx'.*GP536"):
        export_for_onnxruntime("m.onnx", tmp_path / "m.onnx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="GP534"):
        export_for_onnxruntime(parse("g (float[n,m] x) => (float[n,m] y) { y = Neg(x) }"), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="GP532"):
        export_for_onnxruntime(linear(), tmp_path / "m.onnx", threads=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outputs", ["float[2] x, float[2] y", "float[2] y, float[2] y"])
def test_an_output_that_no_node_makes(outputs: str, tmp_path: Path) -> None:
    model = parse(f"g (float[2] x) => ({outputs}) {{ y = Neg(x) }}")
    with pytest.raises(UnsupportedModelError, match=r"output '[xy]' is an input or another output too.*\[GP623\]"):
        export_for_onnxruntime(model, tmp_path / "m.onnx")
