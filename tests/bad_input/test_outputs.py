"""Outputs that cannot be written, and runs that are interrupted: one line, exit code 2 or 130, no partial file."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.invoke import assert_refused, invoke
from tests.small_model import unchanged, write

COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "prune": lambda model, output: ["prune", str(model), str(output / "out.onnx")],
    "pack": lambda model, output: ["pack", str(model), str(output / "out.onnx")],
    "compile": lambda model, output: ["compile", str(model), str(output / "out.so")],
    "run": lambda model, output: ["run", str(model), "--output", str(output / "out.npz")],
}

RUN = "from graphprune.cli import main; main()"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "m.onnx")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_folder_is_refused(model: Path, command: str) -> None:
    with unchanged(model.parent):
        assert_refused(invoke(*COMMANDS[command](model, model.parent / "no")), "out.", "[GP603]")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_in_place_of_the_folder_is_refused(model: Path, command: str) -> None:
    (model.parent / "file").touch()
    with unchanged(model.parent):
        assert_refused(invoke(*COMMANDS[command](model, model.parent / "file")), "out.", "[GP603]")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_place_of_the_file_is_refused(model: Path, command: str) -> None:
    arguments = COMMANDS[command](model, model.parent)
    Path(arguments[-1]).mkdir()
    with unchanged(model.parent):
        assert_refused(invoke(*arguments), "is a folder", "[GP603]")


def test_the_input_is_never_the_output(model: Path) -> None:
    with unchanged(model.parent):
        assert_refused(invoke("prune", model, model), "is the input file", "[GP604]")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_leaves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with unchanged(model.parent):
        assert_refused(invoke(*COMMANDS[command](model, model.parent)), "out.", "No space left on device")


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


@pytest.mark.parametrize("command", ["prune", "run"])
def test_a_write_that_stops_half_way_leaves_nothing(tmp_path: Path, command: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    model = write(folder / "m.onnx")
    with unchanged(folder):
        done = start(COMMANDS[command](model, folder), preexec_fn=limit_file_size)
        _, errors = done.communicate(timeout=120)
    assert done.returncode == 2, errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def test_an_earlier_output_survives_a_failure(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = model.parent / "out.onnx"
    output.write_bytes(b"earlier")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with unchanged(model.parent):
        assert_refused(invoke("prune", model, output), "No space left on device")


def start(arguments: list[str], script: str = RUN, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - those of Popen
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def large_model(path: Path) -> Path:
    """A model that takes seconds to prune and to compile: 16 layers of 1024 x 1024 weights."""
    layers = "\n".join(f"    [n{index}] h{index + 1} = MatMul(h{index}, w{index})" for index in range(16))
    text = f'<ir_version: 10, opset_import: ["" : 20]>\ng (float[1,1024] h0) => (float[1,1024] h16) {{\n{layers}\n}}'
    rng = np.random.default_rng(0)
    return write(path, text, **{f"w{index}": rng.standard_normal((1024, 1024), "float32") for index in range(16)})


ANNOUNCED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
import {module}
original = {module}.{name}

def announced(*arguments, **options):
    print("ready", flush=True)
    return original(*arguments, **options)

{module}.{name} = announced
from graphprune.cli import main
main()
"""


@pytest.mark.parametrize(
    ("command", "step", "delay"),
    [
        ("prune", "graphprune.planning.planner.plan", 0),
        ("compile", "graphprune.compiler.compile.normalize", 0),
        ("compile", "graphprune.compiler.compile.normalize", 0.5),
    ],
)
def test_ctrl_c_leaves_nothing(tmp_path: Path, command: str, step: str, delay: float) -> None:
    model = large_model(tmp_path / "m.onnx")
    module, _, name = step.rpartition(".")
    with unchanged(tmp_path):
        arguments = COMMANDS[command](model, tmp_path)
        process = start(arguments, script=ANNOUNCED.format(module=module, name=name), stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "error: interrupted\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_writing_leaves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with unchanged(model.parent):
        outcome = invoke(*COMMANDS[command](model, model.parent))
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "error: interrupted\n")
