import json
from pathlib import Path

from tests.invoke import invoke
from tests.small_model import TEXT, write


def test_a_pruned_file_compiles_runs_and_verifies(tmp_path: Path) -> None:
    pruned, compiled = tmp_path / "p.onnx", tmp_path / "m.so"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, compiled)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{compiled}: ")
    assert invoke("verify", pruned, compiled).code == 0
    assert invoke("verify", tmp_path / "m.onnx", compiled).code == 1
    assert "y" in invoke("run", compiled).out


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    text = TEXT.replace("[1,8,6,6]", "[batch,8,6,6]").replace("[1,16,6,6]", "[batch,16,6,6]")
    model = write(tmp_path / "m.onnx", text)
    options = ["--input-shape", "x:2x8x6x6", "--target", "x86-64-v3"]
    assert invoke("compile", model, tmp_path / "m.so", *options).code == 0
    assert "[2, 16, 6, 6]" in invoke("run", tmp_path / "m.so").out


def test_kernels_are_explained(tmp_path: Path) -> None:
    pruned = tmp_path / "p.onnx"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, tmp_path / "m.so", "--explain")
    assert outcome.code == 0
    assert "of the dense kernel's time" in outcome.out
    assert "batch: at once: there is no batch" in outcome.out
    assert "dense kernel" not in invoke("compile", pruned, tmp_path / "m.so").out


def test_json_describes_what_was_compiled(tmp_path: Path) -> None:
    pruned, compiled = tmp_path / "p.onnx", tmp_path / "m.so"
    assert invoke("prune", write(tmp_path / "m.onnx"), pruned).code == 0
    outcome = invoke("compile", pruned, compiled, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    described = json.loads(outcome.out)
    assert (described["output"], described["bytes"]) == (str(compiled), compiled.stat().st_size)
    assert described["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 8, 6, 6]}]
    assert described["batch"]["samples"] == 1
    assert [set(note) for note in described["kernels"]] == [{"node", "kernel", "why", "eligible"}]
    assert all(call["nbytes"] > 0 for call in described["calls"])


def test_files_to_link_statically(tmp_path: Path) -> None:
    for suffix, start in ((".a", b"!<arch>\n"), (".o", b"\x7fELF")):
        outcome = invoke("compile", write(tmp_path / "m.onnx"), tmp_path / f"m{suffix}")
        assert (outcome.code, outcome.err) == (0, "")
        assert (tmp_path / f"m{suffix}").read_bytes().startswith(start)
    outcome = invoke("run", tmp_path / "m.a")
    assert outcome.code == 2
