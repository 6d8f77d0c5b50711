"""docs/c.md: its commands build its program, linked with a model in both ways, and that prints what Python computes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import graphprune as gp
from tests.native.programs import find

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "c.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the program, a model, and a command `graphprune`."""
    find("cc")
    (tmp_path / "main.c").write_text(blocks("c")[0])
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[4,32] x) => (float[4,48] y) { y = MatMul(x,w) }'
    )
    weight = np.random.default_rng(0).standard_normal((32, 48)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, tmp_path / "model.onnx")
    command = tmp_path / "graphprune"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m graphprune "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("commands", blocks("bash"))
def test_the_program_runs(commands: str, folder: Path) -> None:
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    strict = 'cc -std=c99 -Wall -Wextra -Wpedantic -Werror -I"'
    script = "set -e\n" + commands.replace('cc -I"', strict)
    variables = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "runtime")])}
    subprocess.run(["bash", "-c", script], cwd=folder, env=variables, check=True)
    printed = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[:2] == [
        "input x: type 1, 2 dimensions, 512 bytes",
        "output y: type 1, 2 dimensions, 768 bytes",
    ]
    x = np.zeros((4, 32), np.float32)
    x[0, 0] = 1
    (y,) = gp.compile(gp.load(folder / "model.onnx")).run(None, {"x": x})
    assert printed[2] == f"y[0] = {y[0, 0]:.9g}"


def test_codes_are_documented() -> None:
    errors = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert all(f"### {code}" in errors for code in re.findall(r"GP\d{3}", TEXT))
