"""The training examples, run as a user runs them, on little data."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import graphprune as gp

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> str:
    command = [sys.executable, *(str(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def zeros(path: Path, name: str) -> int:
    tensor = gp.load(path).graph.initializers[name].const_value
    assert tensor is not None
    return int((tensor.numpy() == 0).sum())


def test_an_onnx_file_is_trained_hardened_compiled_and_verified(tmp_path: Path) -> None:
    shown = run("examples/train_pdp_from_onnx.py", "--folder", tmp_path, "--steps", 60)
    found = re.search(r"one-shot ([0-9.]+)%, trained ([0-9.]+)% from the dense outputs", shown)
    assert found is not None
    assert float(found[2]) < 0.7 * float(found[1])
    assert "sparse.so computes what sparse.onnx computes" in shown
    assert zeros(tmp_path / "sparse.onnx", "classifier.1.weight") == 1152
    assert (tmp_path / "sparse.so").exists()


def test_a_transformer_is_taught_by_its_dense_self(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    shown = run("examples/train_pdp_transformer.py", "--folder", tmp_path, "--steps", 120)
    accuracies = dict(re.findall(r"(dense|soft|hardened): ([0-9.]+)%", shown))
    assert float(accuracies["hardened"]) > float(accuracies["dense"]) - 5
    assert "compiled, and equal to ONNX Runtime" in shown


def jpegs(count: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    from PIL import Image

    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    return np.concatenate(files), np.cumsum([0, *(len(file) for file in files)])


def test_cifar10_from_the_checkpoint_to_a_compiled_network(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    content, offsets = jpegs(256)
    labels = np.arange(256, dtype=np.uint8) % 10
    names = {"bytes": content, "offsets": offsets, "labels": labels}
    arrays = {f"{split}_{name}": array for split in ("train", "test") for name, array in names.items()}
    np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]
    arguments = ("--data", tmp_path / "data.npz", "--folder", tmp_path, "--epochs", 2)
    shown = run("-m", "examples.train_pdp_cifar10", *arguments)
    assert "'ratio': 1.0" in shown
    assert "resnet20.so computes what resnet20.onnx computes" in shown
    layers = [name for name in gp.load(tmp_path / "resnet20.onnx").graph.initializers if name.endswith("conv1.weight")]
    assert sum(zeros(tmp_path / "resnet20.onnx", name) for name in layers) > 100_000
