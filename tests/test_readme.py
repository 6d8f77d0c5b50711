"""What the README shows runs as it stands, on a small model under the README's file name."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import graphprune
from graphprune.measuring import benchmark
from graphprune.optimization import optimize
from tests.invoke import invoke

README = Path(__file__).resolve().parent.parent / "README.md"


def section(name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section(name), re.DOTALL)


def block(name: str, language: str) -> str:
    return blocks(name, language)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small `resnet50.onnx`, which becomes the current one."""
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        g (float[1,8,9,9] input) => (float[1,16,9,9] y) { c = Conv<pads=[1,1,1,1]>(input, w)
            r = Relu(c) y = Conv(r, v) }"""
    )
    for name, shape in (("w", (16, 8, 3, 3)), ("v", (16, 16, 1, 1))):
        weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(model, tmp_path / "resnet50.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("quick_roofline")
def test_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(1).standard_normal((12, 8, 9, 9)).astype(np.float32)
    np.savez(folder / "images.npz", input=images)
    lines = [line for text in blocks("Use it", "bash") for line in text.splitlines()]
    commands = [line for line in lines if not line.startswith("#")]
    assert len(commands) == 1 + 8 + 4
    (folder / "my_task.py").write_text("def accuracy(session): return float(len(session.get_outputs()))\n")
    monkeypatch.setattr(benchmark, "FASTEST_MS", 1.0)
    monkeypatch.setattr(optimize, "FAMILIES", ())  # whose search has tests of its own, and takes a minute
    for line in commands:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "graphprune"
        outcome = invoke(*arguments)
        may_end = {0, 1} if arguments[0] == "optimize" else {0}  # of so small a model, integers may be no faster
        assert outcome.code in may_end, (line, outcome)
    assert (folder / "out" / "report.html").is_file()
    assert (folder / "resnet50.so").is_file()


@pytest.mark.usefixtures("folder")
def test_python() -> None:
    names = {"x": np.random.default_rng(1).standard_normal((1, 8, 9, 9)).astype(np.float32)}
    exec(block("Use it", "python"), names)  # noqa: S102 - the README's own code
    assert np.count_nonzero(names["outputs"][0]) > 0


def test_files_it_names_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README.read_text()):
        assert (README.parent / target).is_file(), target


@pytest.mark.parametrize("name", ["demo", "test"])
def test_commands_are_marked_for_ci(name: str) -> None:
    assert f"<!-- command: {name} -->\n```bash\npython3 -m venv" in README.read_text()


@pytest.mark.usefixtures("folder")
def test_the_section_on_services(tmp_path: Path) -> None:
    """Python, C and ONNX Runtime run the model, and give the same."""
    assert invoke("prune", "resnet50.onnx", "pruned.onnx").code == 0
    assert invoke("compile", "pruned.onnx", "resnet50.so", "--threads", "2").code == 0
    assert invoke("compile", "pruned.onnx", "fast.onnx", "--for", "onnxruntime").code == 0
    names = {
        "x": np.random.default_rng(1).standard_normal((1, 8, 9, 9)).astype(np.float32),
        "onnxruntime": onnxruntime,
    }
    inside_python, inside_onnxruntime = re.findall(r"```python\n(.*?)```", section("Run it in your service"), re.DOTALL)
    exec(inside_python, names)  # noqa: S102 - the README's own code
    exec(inside_onnxruntime, names)  # noqa: S102
    found = onnxruntime.InferenceSession("fast.onnx", names["options"]).run(None, {"input": names["x"]})
    np.testing.assert_allclose(found[0], names["outputs"][0], rtol=1e-5, atol=1e-5)
    (tmp_path / "main.c").write_text(block("Run it in your service", "c"))
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("there is no C compiler")
    command = [cc, "-Wall", "-Werror", f"-I{graphprune.get_include()}", "main.c", "./resnet50.so", "-o", "main"]
    subprocess.run(command, check=True)
    subprocess.run(["./main"], check=True)
