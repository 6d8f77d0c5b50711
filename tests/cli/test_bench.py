import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, write

pytestmark = pytest.mark.usefixtures("quick_roofline")

FEW = ["--runs", "3", "--warmup", "1"]


def test_the_last_file_on_onnxruntime_is_the_baseline(tmp_path: Path) -> None:
    model, compiled = write(tmp_path / "m.onnx"), tmp_path / "m.so"
    assert invoke("compile", model, compiled).code == 0
    outcome = invoke("bench", compiled, model, "--against", "onnxruntime", *FEW, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    labels = [side["label"] for side in report["timings"]]
    assert labels == [str(compiled), f"{model} (graphprune)", f"{model} (onnxruntime)"]
    assert report["baseline"] == labels[-1]
    assert report["runs"] == 3


def test_the_table_states_what_it_was_taken_with(tmp_path: Path) -> None:
    outcome = invoke("bench", write(tmp_path / "m.onnx"), *FEW)
    assert outcome.code == 0
    for fragment in ("3 runs in turns, threads: 1", "1.00x", "onnxruntime ", "apache-tvm "):
        assert fragment in outcome.out


def test_models_of_other_inputs_cannot_be_compared(tmp_path: Path) -> None:
    other = write(tmp_path / "b.onnx", TEXT.replace("6,6]", "9,9]"))
    outcome = invoke("bench", write(tmp_path / "a.onnx"), other, *FEW)
    assert_refused(outcome, "b.onnx (graphprune) does not take the common input", "[GP515]")


def test_a_profile_names_kernels_and_the_limit(tmp_path: Path) -> None:
    outcome = invoke("bench", write(tmp_path / "m.onnx"), "--profile", *FEW)
    assert (outcome.code, outcome.err) == (0, "")
    for fragment in ("ms in kernels", "of limit", "kernels, the longest first", "limit: "):
        assert fragment in outcome.out


def test_a_profile_as_json(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    outcome = invoke("bench", model, "--against", "onnxruntime", "--profile", "--json", *FEW)
    profiles = json.loads(outcome.out)["profiles"]
    assert list(profiles) == [f"{model} (graphprune)"]
    assert profiles[f"{model} (graphprune)"]["kernels"]


def test_a_picture_is_an_svg_of_every_kernel(tmp_path: Path) -> None:
    model, picture = write(tmp_path / "<m>.onnx"), tmp_path / "m.svg"
    outcome = invoke("bench", model, "--picture", picture, "--json", *FEW)
    assert (outcome.code, outcome.err) == (0, "")
    (profile,) = json.loads(outcome.out)["profiles"].values()
    drawn = ET.fromstring(picture.read_text())  # noqa: S314 - our own file
    titles = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    for kernel in profile["kernels"]:
        assert any(title.startswith(f"{kernel['kernel']} of {kernel['node']}\n") for title in titles)


def test_a_picture_shows_one_model(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    outcome = invoke("bench", model, model, "--picture", tmp_path / "m.svg", *FEW)
    assert_refused(outcome, "m.svg shows one model, 2 are given", "[GP611]")
    assert_refused(invoke("bench", model, "--picture", tmp_path / "m.png", *FEW), "expected .svg", "[GP602]")
    assert not (tmp_path / "m.svg").exists()
