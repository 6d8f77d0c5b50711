"""Images and texts, of which a function of the user makes samples."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.cli.preprocessing import Preprocessed, by_input, read_calibration
from graphprune.errors import InputError
from graphprune.frontends.onnx_file import load, save
from tests.backends.tvm.graphs import parse
from tests.invoke import Outcome, assert_refused, invoke

MODULE = """
import numpy as np
number = 3
seen = []

def numbers(item):
    "Of an image, those of its file; of a line, those that it says."
    text = item if isinstance(item, str) else item.read_text()
    seen.append(item)
    return np.array([text.split()], "float32")

def by_name(item):
    return {"x": numbers(item)}

def strict(item):
    raise ValueError("3 channels expected\\nand more")

def silent(item):
    assert False

def listed(item):
    return [1, 2]

def half(item):
    return {"x": [1, 2]}
"""
SAMPLES = np.random.default_rng(0).integers(-9, 9, (5, 8))
FILES = ["a.png", "b.JPG", "c.jpeg", "d.webp", "e.bmp"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, of a name that no other test has imported; a model and data are beside it."""
    monkeypatch.chdir(tmp_path)
    name = f"made_{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(MODULE)
    save(
        parse("g (float[n,8] x) => (float[n,4] y) { h = Gemm(x,u) y = Gemm(h,v) }", {"u": (8, 8), "v": (8, 4)}),
        "m.onnx",
    )
    lines = [" ".join(map(str, row)) for row in SAMPLES]
    Path("photos").mkdir()
    for file, line in reversed(list(zip(FILES, lines, strict=True))):
        (Path("photos") / file).write_text(line)
    (Path("photos") / "readme.md").write_text("what it is")
    Path("said.txt").write_text("\n".join(lines[:2]) + "\n  \n\n" + "\n".join(lines[2:]), encoding="utf-8")
    np.savez("data.npz", x=SAMPLES.astype(np.float32))
    return name


def command(name: str, *arguments: object) -> Outcome:
    shared = ("--criterion", "wanda", "--sparsity", 0.5) if name == "prune" else ()
    return invoke(name, "m.onnx", "o.onnx", *shared, *arguments)


def written(name: str, *arguments: object) -> bytes:
    outcome = command(name, *arguments)
    assert outcome.code == 0, outcome
    return Path("o.onnx").read_bytes()


@pytest.mark.parametrize("source", ["photos", "said.txt"])
@pytest.mark.parametrize("function", ["numbers", "by_name"])
@pytest.mark.parametrize("name", ["prune", "quantize"])
def test_what_a_function_makes_is_as_good_as_arrays(name: str, function: str, source: str, module: str) -> None:
    expected = written(name, "--calibration", "data.npz")
    assert written(name, "--calibration", source, "--preprocess", f"{module}:{function}") == expected


def test_a_function_is_asked_for_no_more_than_is_looked_at(module: str) -> None:
    given = "--calibration", "photos", "--preprocess", f"{module}:numbers", "--samples", 3
    expected = written("prune", "--calibration", "data.npz", "--samples", 3)
    assert written("prune", *given) == expected
    assert sys.modules[module].seen == [Path("photos") / file for file in FILES[:3]]


def test_lines_come_without_their_ends(module: str) -> None:
    Path("said.txt").write_text(" zwölf  \r\n\r\nun deux", encoding="utf-8")
    samples = read_calibration(["said.txt"], f"{module}:numbers")
    assert isinstance(samples, Preprocessed)
    assert [item for _, item in samples.items] == [" zwölf  ", "un deux"]


REFUSED = {
    "images alone": (["photos"], None, "photos holds no arrays; give --preprocess package.module:function", "GP616"),
    "a text alone": (["said.txt"], None, "said.txt holds no arrays; give --preprocess", "GP616"),
    "a function alone": ([], "numbers", "--preprocess makes arrays of what --calibration gives", "GP617"),
    "arrays": (["data.npz"], "numbers", "folder of images or one .txt file, but --calibration is data.npz", "GP617"),
    "two sources": (["photos", "said.txt"], "numbers", "but --calibration is photos, said.txt", "GP617"),
    "a folder without images": (["."], "numbers", "but --calibration is .", "GP617"),
    "no such text": (["none.txt"], "numbers", "cannot read none.txt: No such file", "GP606"),
    "no such function": (["photos"], "missing", "has no function 'missing'", "GP568"),
    "what is no function": (["photos"], "number", "has no function 'number'", "GP568"),
    "an exception": (["photos"], "strict", "a.png: preprocess '{0}:strict' raises ValueError: 3 channels", "GP618"),
    "one of a line": (["said.txt"], "strict", "said.txt, line 1: preprocess '{0}:strict' raises ValueError", "GP618"),
    "one that says nothing": (["photos"], "silent", "'{0}:silent' raises AssertionError [GP618]", "GP618"),
    "a list": (["photos"], "listed", "photos/a.png: preprocess '{0}:listed' returns a list, expected arrays", "GP619"),
    "a list by name": (["photos"], "half", "returns a list for 'x', expected an array", "GP619"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, module: str) -> None:
    calibration, function, said, code = REFUSED[name]
    given = [text for source in calibration for text in ("--calibration", source)]
    asked = [] if function is None else ["--preprocess", f"{module}:{function}"]
    assert_refused(command("prune", *given, *asked), said.format(module), f"[{code}]")
    assert not Path("o.onnx").exists()


def test_a_text_that_names_no_function(module: str) -> None:
    assert_refused(
        command("prune", "--calibration", "photos", "--preprocess", module),
        f"preprocess '{module}' is not of the form package.module:function [GP617]",
    )
    outcome = command("prune", "--calibration", "photos", "--preprocess", "no.such:function")
    assert_refused(outcome, "preprocess 'no.such:function': No module named 'no' [GP568]")


def test_a_text_of_another_encoding(module: str) -> None:
    Path("said.txt").write_bytes(b"\xff\xfe1 2")
    outcome = command("quantize", "--calibration", "said.txt", "--preprocess", f"{module}:numbers")
    assert_refused(outcome, "said.txt is not a text in UTF-8 [GP606]")


def test_one_array_for_several_inputs(module: str) -> None:
    save(
        parse("g (float[n,8] x, float[n,8] z) => (float[n,8] y) { h = Add(x,z) y = Gemm(h,u) }", {"u": (8, 8)}),
        "m.onnx",
    )
    outcome = command("prune", "--calibration", "photos", "--preprocess", f"{module}:numbers")
    assert_refused(outcome, "returns one array, expected one for each of x, z [GP619]")


def test_arrays_beside_images_are_read_as_they_were(module: str) -> None:
    np.savez("photos/x.npz", x=SAMPLES.astype(np.float32))
    model = load(Path("m.onnx"))
    with pytest.raises(InputError, match="GP616"):
        read_calibration(["photos"], None)
    Path("photos/a.png").unlink()
    samples = read_calibration(["photos"], f"{module}:numbers")
    assert samples is not None
    assert len(list(by_input(samples, model))) == 4
