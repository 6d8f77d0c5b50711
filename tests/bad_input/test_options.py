"""Options, recipes and feeds that do not fit: one line, exit code 2, nothing written."""

from pathlib import Path

import numpy as np
import pytest

from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, unchanged, write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--sparsity", "1"], ["sparsity", "1"]),
        (["--sparsity", "1.5"], ["sparsity", "1.5"]),
        (["--sparsity", "-0.1"], ["sparsity", "-0.1"]),
        (["--sparsity", "nan"], ["sparsity", "nan"]),
        (["--sparsity", "most"], ["--sparsity", "number"]),
        (["--pattern", "diagonal"], ["diagonal", "unstructured"]),
        (["--scope", "galaxy"], ["scope", "galaxy"]),
        (["--ignore", "no_such_weight"], ["no_such_weight", "[GP321]"]),
        (["--ignore", "re:("], ["re:("]),
        (["--ignore", "*"], ["nothing to prune", "[GP326]"]),
        (["--recipe", "no.yaml"], ["no.yaml"]),
        (["--recipe", "no.yaml", "--sparsity", "0.5"], ["--recipe and --sparsity", "[GP608]"]),
        (["--sparsty", "0.5"], ["--sparsty"]),
    ],
)
def test_a_wrong_pruning_option_is_refused(model: Path, options: list[str], fragments: list[str]) -> None:
    with unchanged(model.parent):
        assert_refused(invoke("prune", model, model.parent / "out.onnx", *options), *fragments)


@pytest.mark.parametrize(
    ("recipe", "fragments"),
    [
        ("sparsty: 0.9", ["sparsty", "sparsity"]),
        ("sparsity: 2", ["sparsity", "2"]),
        ("sparsity: 0.9\ntargets: [no_such]", ["no_such", "[GP321]"]),
        ("sparsity: 0.9\nignore: ['re:no_such.*']", ["re:no_such.*", "[GP321]"]),
        ("sparsity: 0.9\nrules: [{targets: [w], sparsty: 1}]", ["sparsty"]),
        ("- 1", ["recipe.yaml"]),
        ("a: [", ["recipe.yaml"]),
        ("!!python/object/apply:os.system ['true']", ["recipe.yaml"]),
        ("", ["recipe.yaml"]),
    ],
)
def test_a_wrong_recipe_is_refused(model: Path, recipe: str, fragments: list[str]) -> None:
    path = model.parent / "recipe.yaml"
    path.write_text(recipe)
    with unchanged(model.parent):
        assert_refused(invoke("prune", model, model.parent / "out.onnx", "--recipe", path), *fragments)


GOOD = np.zeros((1, 8, 6, 6), "float32")


@pytest.mark.parametrize(
    ("name", "array", "fragments"),
    [
        ("X", GOOD, ["unknown input 'X'", "[GP512]"]),
        ("x", GOOD[:, :7], ["extent 7 at axis 1, expected 8", "[GP515]"]),
        ("x", GOOD[0], ["3 dimensions, expected 4", "[GP515]"]),
        ("x", GOOD.astype("float64"), ["dtype float64, expected float32", "[GP514]"]),
        ("x", np.float32(1), ["0 dimensions, expected 4", "[GP515]"]),
        ("x", GOOD[:0], ["extent 0 at axis 0, expected 1", "[GP515]"]),
    ],
)
def test_a_wrong_feed_is_refused(model: Path, name: str, array: np.ndarray, fragments: list[str]) -> None:
    np.save(model.parent / "x.npy", array)
    with unchanged(model.parent):
        outcome = invoke(
            "run", model, "--input", f"{name}={model.parent / 'x.npy'}", "--output", model.parent / "o.npz"
        )
        assert_refused(outcome, *fragments)


def test_an_empty_batch_is_refused(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx", TEXT.replace("[1,8,6,6]", "[batch,8,6,6]").replace("[1,16", "[batch,16"))
    np.save(tmp_path / "x.npy", GOOD[:0])
    assert_refused(invoke("run", model, "--input", f"x={tmp_path / 'x.npy'}"), "input 'x' is empty at axis 0")


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (None, ["x.npy", "No such file", "[GP606]"]),
        (b"", ["x.npy", "[GP606]"]),
        (b"random bytes", ["x.npy", "[GP606]"]),
        (b"\x80\x04\x8c\x05hello.", ["x.npy", "[GP606]"]),
        (b"PK\x03\x04 not a zip", ["x.npy", "[GP606]"]),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}  \n", ["x.npy", "[GP606]"]),
    ],
)
def test_a_wrong_array_file_is_refused(model: Path, content: bytes | None, fragments: list[str]) -> None:
    path = model.parent / "x.npy"
    if content is not None:
        path.write_bytes(content)
    assert_refused(invoke("run", model, "--input", f"x={path}"), *fragments)


def test_an_archive_of_arrays_is_refused(model: Path) -> None:
    path = model.parent / "x.npz"
    np.savez(path, x=GOOD)
    assert_refused(invoke("run", model, "--input", f"x={path}"), "holds several arrays", "[GP606]")


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["run", "M", "--input", "x.npy"], ["'x.npy' is not of the form name=x.npy", "[GP605]"]),
        (["run", "M", "--output", "o.txt"], ["o.txt", ".npz", "[GP602]"]),
        (["run", "M", "--threads", "0"], ["threads is 0", "[GP532]"]),
        (["run", "M", "--threads", "100000"], ["threads is 100000", "[GP532]"]),
        (["run", "M", "--seed", "-1"], ["--seed"]),
        (["compile", "M", "o.so", "--target", "avx9"], ["avx9", "native, x86-64-v3", "[GP493]"]),
        (["compile", "M", "o.so", "--threads", "0"], ["threads is 0", "[GP532]"]),
        (["compile", "M", "o.so", "--input-shape", "x"], ["'x'", "[GP601]"]),
        (["compile", "M", "o.so", "--input-shape", "z:1"], ["'z'"]),
        (["compile", "M", "o.so", "--input-shape", "x:1x8x6"], ["x"]),
        (["compile", "M", "o.so", "--input-shape", "x:1x8x6x7"], ["x", "7"]),
        (["compile", "M", "o.exe"], ["o.exe", ".so", "[GP602]"]),
        (["prune", "M", "o.pb"], ["o.pb", ".onnx", "[GP602]"]),
        (["verify", "M", "M", "--cases", "0"], ["cases is 0", "[GP563]"]),
        (["verify", "M", "M", "--rtol", "-1"], ["rtol is -1.0", "[GP562]"]),
        (["verify", "M", "M", "--atol", "nan"], ["atol is nan", "[GP562]"]),
        (["verify", "M"], ["CANDIDATE"]),
        (["bench", "M", "--against", "tensorrt"], ["tensorrt", "onnxruntime"]),
        (["bench", "M", "--runs", "0", "--against", "onnxruntime"], ["runs is 0", "[GP572]"]),
        (["bench", "M", "--threads", "0"], ["threads is 0", "[GP532]"]),
        (["bench", "o.so", "--against", "onnxruntime"], ["no .onnx file", "[GP607]"]),
        (["demo", "--sparsity", "1"], ["sparsity", "1"]),
        (["prun", "M", "o.onnx"], ["prun"]),
        (["--versoin"], ["--versoin"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], fragments: list[str]
) -> None:
    monkeypatch.chdir(model.parent)
    with unchanged(model.parent):
        assert_refused(invoke(*(str(model) if text == "M" else text for text in arguments)), *fragments)
