"""How programs use a session: ONNX Runtime's call, arrays of the caller's, pickling, the log; the package by itself."""

from __future__ import annotations

import pickle
import re
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

import graphprune as gp
from graphprune_runtime import load_session
from graphprune_runtime.errors import BackendError, InputError
from tests.backends.tvm.graphs import parse
from tests.runtime.example import X, make

ROOT = Path(__file__).resolve().parents[2]


def test_pickling(model: Path, expected: np.ndarray) -> None:
    session = pickle.loads(pickle.dumps(load_session(model, 2)))  # noqa: S301 - our own
    np.testing.assert_array_equal(session.run(["y"], {"x": X})[0], expected)
    with pytest.raises(BackendError, match="GP414"):
        pickle.dumps(make())


def test_the_package_alone_runs_a_file(model: Path, tmp_path: Path) -> None:
    """An environment with NumPy and the runtime, and nothing else."""
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    numpy = Path(np.__file__).parents[1]
    for folder in ("numpy", "numpy.libs"):
        if (numpy / folder).exists():
            (packages / folder).symlink_to(numpy / folder)
    (packages / "graphprune_runtime").symlink_to(ROOT / "runtime" / "graphprune_runtime")
    code = f"""
import sys, numpy as np
from graphprune_runtime import load_session
session = load_session({str(model)!r}, threads=2)
print(session.run(["y"], {{"x": np.ones({X.shape}, np.float32)}})[0].shape)
print(sorted({{"tvm", "tvm_ffi", "onnx", "onnx_ir", "ml_dtypes", "graphprune"}} & sys.modules.keys()))
"""
    run = subprocess.run([tmp_path / "env/bin/python", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout == "(1, 24, 20, 20)\n[]\n"


def test_the_package_is_small() -> None:
    files = (ROOT / "runtime" / "graphprune_runtime").glob("*.py")
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_a_file_for_more_threads_than_this_machine_has(tmp_path: Path, expected: np.ndarray) -> None:
    session = make(threads=64)
    np.testing.assert_array_equal(session.run(["y"], {"x": X})[0], expected)
    session.save(tmp_path / "m.so")
    np.testing.assert_array_equal(load_session(tmp_path / "m.so", 2).run(["y"], {"x": X})[0], expected)
    with pytest.raises(InputError, match=r"threads is 64, expected 1 to \d+, the processors here \[GP532\]"):
        load_session(tmp_path / "m.so", 64)


def test_the_callers_arrays(model: Path, expected: np.ndarray) -> None:
    session = load_session(model, 2)
    outputs = {info.name: np.empty(info.static_shape, info.dtype) for info in session.get_outputs()}
    session.run_with_buffers({"x": X}, outputs)
    np.testing.assert_array_equal(outputs["y"], expected)
    unaligned = np.empty(expected.nbytes + 4, np.uint8)[4:].view(np.float32).reshape(expected.shape)
    session.run_with_buffers({"x": X}, outputs | {"y": unaligned})
    np.testing.assert_array_equal(unaligned, expected)
    fixed = expected.copy()
    fixed.flags.writeable = False
    strided = np.empty((1, 24, 20, 40), np.float32)[..., ::2]
    x = X.copy()
    bad: dict[str, tuple[dict[str, np.ndarray], str]] = {
        "read-only": ({"y": fixed}, "must be contiguous and writeable"),
        "strided": ({"y": strided}, "must be contiguous and writeable"),
        "an input": ({"same": x}, "shares memory"),
        "twice": ({"flat": outputs["same"].reshape(16, 400)}, "shares memory"),
        "another shape": ({"y": np.empty((1, 24, 20, 21), np.float32)}, "GP515"),
        "another type": ({"y": np.empty(expected.shape)}, "GP514"),
    }
    for what, (others, why) in bad.items():
        with pytest.raises(InputError, match=why):
            session.run_with_buffers({"x": x}, outputs | others)
        assert what
    with pytest.raises(InputError, match="GP513"):
        session.run_with_buffers({"x": X}, {"y": outputs["y"]})


def test_onnx_runtimes_call(model: Path, expected: np.ndarray) -> None:
    session = load_session(model)
    np.testing.assert_array_equal(session.run(output_names=["y"], input_feed={"x": X}, run_options=None)[0], expected)
    with pytest.raises(InputError, match="GP513"):
        session.run()


def test_the_log_tells_of_loading_and_compiling(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="graphprune"):
        load_session(model, 2)
        gp.compile(parse("g (float[3] x) => (float[3] y) { y = Relu (x) }"))
    loaded, compiled = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(rf"loaded {re.escape(str(model))} for x86-64-v\d on 2 thread\(s\) in \d+\.\d+ s", loaded)
    assert re.fullmatch(r"compiled g for x86-64-v\d in \d+\.\d s", compiled)
