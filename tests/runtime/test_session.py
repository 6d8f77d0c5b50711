from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import ml_dtypes
import numpy as np
import pytest

from graphprune.backends.base import Variant
from graphprune.backends.tvm.backend import TvmBackend
from graphprune.backends.tvm.building import objects
from graphprune.errors import BackendError, InputError, ModelFileError
from graphprune.targets.target import TARGETS, resolve_target
from graphprune.verification.feeds import random_feed
from graphprune_runtime.description import FORMAT, Description
from graphprune_runtime.loading import load_session
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.batch.samples import compile_samples
from tests.backends.tvm.graphs import assert_equal, compile_, parse, pruned

LINEAR = "g (float[1,10,32] x) => (float[1,10,48] y, float[1,10,48] z) { y = MatMul(x,w)\n z = Relu(y) }"


@pytest.fixture(scope="module")
def session() -> CompiledSession:
    return compile_(parse(LINEAR, {"w": (32, 48)}))


def test_describes_itself(session: CompiledSession) -> None:
    assert [str(info) for info in session.get_inputs()] == ["x: float32[1, 10, 32]"]
    assert [info.name for info in session.get_outputs()] == ["y", "z"]


def test_inputs_and_outputs_are_joined_once_for_all_runs(session: CompiledSession) -> None:
    described = session.description
    assert described.inputs is described.inputs
    assert described.outputs is described.outputs


def test_tells_how_values_lie(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.so")
    for each in (session, load_session(tmp_path / "m.so")):
        assert isinstance(each, CompiledSession)
        assert [tuple(note) for note in each.layouts] == [
            ("y", (1, 10, 48), (0, 2, 1)),
            ("z", (1, 10, 48), (0, 2, 1)),
        ]
        assert [call.kernel for call in each.calls if call.kernel == "copy"] == ["copy", "copy"]


def test_outputs_by_name(session: CompiledSession) -> None:
    feed = random_feed(session.get_inputs(), 0)
    (z,) = session.run(["z"], feed)
    y, other = session.run(["y", "z"], feed)
    np.testing.assert_array_equal(z, other)
    np.testing.assert_array_equal(z, np.maximum(y, 0))


def test_later_runs_leave_earlier_results(session: CompiledSession) -> None:
    first = session.run(None, random_feed(session.get_inputs(), 0))
    kept = [array.copy() for array in first]
    session.run(None, random_feed(session.get_inputs(), 1))
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_outputs_may_be_written_into() -> None:
    """Also those that are constants, or the same value twice."""
    model = parse(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z, float[3] c, float[2,3] p) {
        y = Relu(x) z = Identity(y) c = Constant <value = float[3] {1,2,3}> () p = Identity(x) }"""
    )
    session, x = compile_(model), np.ones((2, 3), np.float32)
    first = session.run(None, {"x": x})
    for array in first:
        array[...] += 100
    assert [float(array.flat[0]) for array in first] == [101, 101, 101, 101]
    assert [float(array.flat[0]) for array in session.run(None, {"x": x})] == [1, 1, 1, 1]
    assert (x == 1).all()


def test_two_outputs_of_one_name() -> None:
    """Found by damaged files: each is written, so each needs an array."""
    model = parse("g (float[2,300] x) => (float[2,300] y, float[2,300] y) { y = Neg(x) }")
    session, x = compile_(model), np.ones((2, 300), np.float32)
    for array in session.run(["y", "y"], {"x": x}):
        np.testing.assert_array_equal(array, -x)
    assert len(session.time_kernels({"x": x}, 1)[0]) == len(session.calls)


def test_strided_feed(session: CompiledSession) -> None:
    x = np.random.default_rng(0).standard_normal((1, 32, 10)).astype(np.float32).transpose(0, 2, 1)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], session.run(["y"], {"x": x.copy()})[0])


def test_refuses_wrong_feeds(session: CompiledSession) -> None:
    with pytest.raises(InputError, match="GP515"):
        session.run(None, {"x": np.zeros((1, 10, 31), np.float32)})
    with pytest.raises(InputError, match="GP514"):
        session.run(None, {"x": np.zeros((1, 10, 32), np.float64)})


def test_save_and_load(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.so")
    assert [file.name for file in tmp_path.iterdir()] == ["m.so"]
    feed = random_feed(session.get_inputs(), 0)
    loaded = load_session(tmp_path / "m.so", 1)
    assert loaded.get_inputs() == session.get_inputs()
    for ours, theirs in zip(loaded.run(None, feed), session.run(None, feed), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_bare_name_is_a_file_here(session: CompiledSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session.save(tmp_path / "m.so")
    monkeypatch.chdir(tmp_path)
    assert load_session("m.so").get_inputs() == session.get_inputs()


def test_threads_of_a_loaded_session(session: CompiledSession, tmp_path: Path) -> None:
    compile_(parse(LINEAR, {"w": (32, 48)}), threads=2).save(tmp_path / "two.so")
    feed = random_feed(session.get_inputs(), 0)
    for threads in (1, 2):
        (ours, _) = load_session(tmp_path / "two.so", threads).run(None, feed)
        np.testing.assert_array_equal(ours, session.run(["y"], feed)[0])
    session.save(tmp_path / "one.so")
    with pytest.raises(BackendError, match=r"compiled for 1 thread, cannot run on 2; .* \[GP412\]"):
        load_session(tmp_path / "one.so", 2)


BATCH = "g (float[5,40,32] x, float[1,40,1] z) => (float[5,40,48] y, int64[5,40] m) {"
BATCH += "a = Mul(x,z) y = MatMul(a,w) m = ArgMax<axis=2, keepdims=0>(y) }"


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_samples_of_a_batch_share_the_threads(threads: int, tmp_path: Path) -> None:
    model = parse(BATCH, {"w": (32, 48)})
    session = compile_samples(model, threads)
    assert session.batch.samples == 5
    assert_equal(session, model)
    session.save(tmp_path / "batch.so")
    for others in (1, 2):  # its code is of one thread, whatever it was compiled for
        loaded = load_session(tmp_path / "batch.so", others)
        assert loaded.get_inputs() == session.get_inputs()
        assert_equal(loaded, model)


def test_a_batch_in_several_threads_at_once() -> None:
    model = parse(BATCH, {"w": (32, 48)})
    session, plain = compile_samples(model, 2), compile_(model)
    feeds = [random_feed(session.get_inputs(), seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda feed: session.run(["m", "y"], feed), feeds))
    for feed, (indices, values) in zip(feeds, found, strict=True):
        np.testing.assert_allclose(values, plain.run(["y"], feed)[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(indices, values.argmax(2))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_one_sample(threads: int) -> None:
    model = parse("g (int64[4,3] i) => (float[4,3,2] y) { y = Gather(t,i) }", {"t": (10, 2)})
    session = compile_samples(model, threads)
    assert session.batch.samples == 4
    good = np.arange(12).reshape(4, 3) % 10
    bad = good.copy()
    bad[2, 1] = 10
    for _ in range(3):
        with pytest.raises(BackendError, match="GP413"):
            session.run(None, {"i": bad})
        assert session.run(None, {"i": good})[0].shape == (4, 3, 2)


def test_kernels_of_a_batch_are_timed() -> None:
    session = compile_samples(parse(BATCH, {"w": (32, 48)}), 2)
    times = session.time_kernels(random_feed(session.get_inputs(), 0), 3)
    assert [len(run) for run in times] == [len(session.calls)] * 3
    assert min(map(min, times)) > 0


def test_a_loaded_session_saves_again(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.so")
    load_session(tmp_path / "m.so", 1).save(tmp_path / "copy.so")
    feed = random_feed(session.get_inputs(), 0)
    again = load_session(tmp_path / "copy.so", 1).run(None, feed)
    np.testing.assert_array_equal(again[0], session.run(None, feed)[0])


def test_another_processor(session: CompiledSession, tmp_path: Path) -> None:
    target = replace(resolve_target("x86-64-v3"), level="x86-64-v9")
    missing = {"x86-64-v9": replace(target, features=(*target.features, "avx9000", "sse"))}
    with patch.dict(TARGETS, missing):
        model = TvmBackend().compile([Variant.of(parse(LINEAR, {"w": (32, 48)}))], target, 1)
    said = r"compiled for x86-64-v9, but this processor lacks avx9000 \[GP419\]"
    with pytest.raises(BackendError, match="^the model: " + said):
        model.run(None, random_feed(session.get_inputs(), 0))
    model.save(tmp_path / "m.so")
    with pytest.raises(BackendError, match="m.so': " + said):
        load_session(tmp_path / "m.so", 1)


def test_weights_are_mapped_from_the_library(tmp_path: Path) -> None:
    saved = compile_(parse(LINEAR, {"w": (32, 48)}))
    saved.save(tmp_path / "m.so")
    feed = random_feed(saved.get_inputs(), 0)
    sessions = [load_session(tmp_path / "m.so", 1) for _ in range(2)]
    for session in sessions:
        np.testing.assert_array_equal(session.run(None, feed)[0], saved.run(None, feed)[0])
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path / "m.so") in line]
    assert [line.split()[1] for line in mapped] == ["r--p", "r--p"]


@pytest.mark.parametrize("cut", [1, 64, 1000, 32 * 48 * 4 + 64])
def test_a_cut_library_is_refused(session: CompiledSession, tmp_path: Path, cut: int) -> None:
    session.save(tmp_path / "m.so")
    content = (tmp_path / "m.so").read_bytes()
    (tmp_path / "m.so").write_bytes(content[:-cut])
    with pytest.raises(BackendError, match=r"m.so' was cut.* \[GP410\]"):
        load_session(tmp_path / "m.so", 1)


def test_loading_needs_no_compiler(session: CompiledSession, tmp_path: Path) -> None:
    session.save(tmp_path / "m.so")
    code = f"""
import sys, numpy, graphprune
session = graphprune.load_session({str(tmp_path / "m.so")!r})
session.run(None, {{"x": numpy.zeros((1, 10, 32), numpy.float32)}})
heavy = {{"tvm", "onnx", "onnx_ir", "pydantic"}}
maps = open("/proc/self/maps").read()
print(sorted(heavy & sys.modules.keys()), "tvm_compiler" in maps, "tvm_runtime" in maps)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[0] == "[] False False"


def test_half_precision_goes_in_and_out(tmp_path: Path) -> None:
    session = compile_(parse("g (bfloat16[2,3] x) => (bfloat16[2,3] y) { y = Neg (x) }"))
    x = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    session.save(tmp_path / "m.so")
    for each in (session, load_session(tmp_path / "m.so")):
        (y,) = each.run(None, {"x": x})
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y.astype(np.float32), -x.astype(np.float32))


@pytest.mark.parametrize("value", [np.int64(-(2**63)), np.int64(2**63 - 1), np.uint64(2**64 - 1)])
def test_constants_at_the_ends_of_their_types(value: np.generic) -> None:
    """They are no offsets, whose ranges are checked when a model is opened."""
    kind, c = value.dtype.name, np.array([1, value], value.dtype)
    session = compile_(parse(f"g ({kind}[2] x) => ({kind}[2] y) {{ y = Add(x,c) }}", {"c": c}))
    np.testing.assert_array_equal(session.run(None, {"x": np.zeros_like(c)})[0], c)


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fEL" + bytes(100)])
def test_refuses_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    path.write_bytes(content)
    with pytest.raises(BackendError, match="GP409"):
        load_session(path, 1)


def test_refuses_another_format(session: CompiledSession, tmp_path: Path) -> None:
    text = session.description.to_json().replace(f'"format": {FORMAT}', '"format": 99')
    with pytest.raises(BackendError, match=rf"format 99, expected {FORMAT} \[GP408\]"):
        Description.from_json(text)
    (tmp_path / "old.so").write_bytes(b"\x7fELF" + bytes(200) + b"graphprune weights 100".ljust(64, b"\n"))
    with pytest.raises(BackendError, match=rf"format 7, expected {FORMAT}; compile .* again \[GP408\]"):
        load_session(tmp_path / "old.so")


def test_unwritable_output(session: CompiledSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="GP106"):
        session.save(tmp_path / "file" / "m.so")


def test_no_linker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendError, match="GP407"):
        compile_(parse(LINEAR, {"w": (32, 48)}))


def test_no_room_for_object_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "CODE_BYTES", 1 << 60)
    with pytest.raises(BackendError, match=r"no room to compile in .*: (File too large|No space left).* \[GP411\]"):
        compile_(parse(LINEAR, {"w": (32, 48)}))


def test_a_failing_linker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(BackendError, match=r"cannot link the model: .*false: exit code 1 \[GP411\]"):
        compile_(parse(LINEAR, {"w": (32, 48)}))


def test_sessions_in_several_threads(session: CompiledSession) -> None:
    feeds = [random_feed(session.get_inputs(), seed) for seed in range(4)]
    expected = [session.run(None, feed)[0] for feed in feeds]
    results: dict[int, list[np.ndarray]] = {}

    def work(i: int) -> None:
        results[i] = [session.run(None, feeds[i])[0] for _ in range(50)]

    workers = [Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, arrays in results.items():
        for array in arrays:
            np.testing.assert_array_equal(array, expected[i])


def test_models_compiled_in_several_threads() -> None:
    text = "g (float[1,32,12,12] x) => (float[1,24,12,12] y) { c = Conv (x, w) y = Relu (c) }"
    models = [parse(text, {"w": pruned(24, 32, 1, 1, zeros=share)}) for share in (0.1, 0.5, 0.7, 0.9)]
    with ThreadPoolExecutor(len(models)) as pool:
        sessions = list(pool.map(compile_, models))
    for session, model in zip(sessions, models, strict=True):
        assert_equal(session, model)
