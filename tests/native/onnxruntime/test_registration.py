"""Registering a library: what ONNX Runtime is told where it cannot be, and versions that are too old."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from graphprune.compiler.custom_op import export_for_onnxruntime
from graphprune.native import CUSTOM_OP, INCLUDE
from tests.backends.tvm.graphs import parse, pruned
from tests.compiler.exported import options_for

LINEAR = "g (float[1,10,32] x) => (float[1,10,48] y) { y = MatMul(x,w) }"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    export_for_onnxruntime(parse(LINEAR, {"w": pruned(32, 48)}), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_damaged_weights(exported: Path) -> None:
    library = exported.with_suffix(".so")
    content = bytearray(library.read_bytes())
    content[content.rindex(b'{"format"') - 100] ^= 1
    library.write_bytes(content)
    with pytest.raises(Exception, match=r"GP410: '.*m.so' is damaged: the checksum of its weights differs"):
        options_for(exported)


def test_a_missing_library(exported: Path) -> None:
    exported.with_suffix(".so").unlink()
    with pytest.raises(Exception, match=r"m.so: cannot open shared object file"):
        options_for(exported)


GET_API = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_uint32)
GET_VERSION = ctypes.CFUNCTYPE(ctypes.c_size_t)
CREATE_STATUS = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p)


def test_an_old_onnx_runtime(exported: Path) -> None:
    said: list[bytes] = []

    def create_status(code: int, message: bytes) -> int:
        said.append(message)
        return 1000 + code

    old_api = (CREATE_STATUS * 1)(CREATE_STATUS(create_status))
    get_api = GET_API(lambda version: ctypes.addressof(old_api) if version <= 15 else 0)
    version = ctypes.create_string_buffer(b"1.15.1")
    get_version = GET_VERSION(lambda: ctypes.addressof(version))
    base = (ctypes.c_void_p * 2)(*(ctypes.cast(each, ctypes.c_void_p).value for each in (get_api, get_version)))
    register = ctypes.CDLL(str(exported.with_suffix(".so"))).RegisterCustomOps
    register.argtypes, register.restype = [ctypes.c_void_p, ctypes.c_void_p], ctypes.c_void_p
    assert register(None, base) == 1001
    assert said == [b"GP622: this is ONNX Runtime 1.15.1, expected 1.16 or later"]


def test_a_program_ends_while_a_thread_runs_the_model(tmp_path: Path) -> None:
    """The library is told that the program ends, and must leave the model to the thread."""
    text = "g (float[1,8000,1000] x) => (float[1,8000,1000] y) { a = MatMul(x,w) b = MatMul(a,w) y = MatMul(b,w) }"
    path = tmp_path / "m.onnx"
    export_for_onnxruntime(parse(text, {"w": pruned(1000, 1000, zeros=0)}), path)
    code = f"""
import ctypes, threading, time, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.register_custom_ops_library({str(path.with_suffix(".so"))!r})
session = onnxruntime.InferenceSession({str(path)!r}, options)
x = numpy.zeros((1, 8000, 1000), numpy.float32)
threading.Thread(target=session.run, args=(None, {{"x": x}}), daemon=True).start()
time.sleep(0.15)
ctypes.CDLL(None).exit(0)
"""
    for _ in range(6):  # without that, about every second one crashes
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, "")


def test_the_c_part_compiles_without_a_warning(tmp_path: Path) -> None:
    flags = ["-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    run = subprocess.run(
        ["cc", *flags, f"-I{INCLUDE}", "-c", *map(str, CUSTOM_OP)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
