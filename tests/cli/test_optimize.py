"""`graphprune optimize`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.cli.options import parse_duration
from graphprune.errors import InputError
from graphprune.frontends.onnx_file import save
from graphprune.measuring import benchmark
from graphprune.optimization import optimize as module
from graphprune.optimization.families import FAMILIES
from graphprune.optimization.methods import CHANNEL_METHODS, METHODS
from tests.allocation.network import feeds, network
from tests.invoke import Outcome, assert_refused, invoke

pytestmark = pytest.mark.usefixtures("quick_roofline")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "FAMILIES", ())
    monkeypatch.setattr(benchmark, "FASTEST_MS", 1.0)
    save(network(), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=np.stack([feed["x"] for feed in feeds(24)]))
    return tmp_path / "m.onnx"


def optimize(source: Path, *options: object) -> Outcome:
    """Optimize into a folder beside the source."""
    return invoke("optimize", source, source.with_name("o"), "--calibration", source.with_name("data.npz"), *options)


def test_files_a_table_and_what_is_recommended(source: Path) -> None:
    outcome = optimize(source, "--metric", "closeness", "--target-latency", "1s")
    assert outcome.code == 0
    assert "recommended: " in outcome.out
    assert "it is the best one that takes at most 1000 ms" in outcome.out
    assert "quality: 1 less the relative error" in outcome.out
    names = sorted(path.name for path in source.with_name("o").iterdir())
    expected = ["model-dense.onnx", "model-dense.so", "model-int8.onnx", "model-int8.so", "report.html", "report.json"]
    assert names == [*expected, "work"]
    for step in ("the dense model", "integers of 8 bits", "timing all of them in turns"):
        assert step in outcome.err
    report = json.loads(source.with_name("o").joinpath("report.json").read_text())
    assert report["source"] == str(source)
    quantized = next(each for each in report["candidates"] if each["name"] == "int8")
    folder, data = source.with_name("o"), source.with_name("data.npz")
    assert quantized["steps"] == [
        f"graphprune quantize {source} {folder}/model-int8.onnx --calibration {data} --samples 16",
        f"graphprune compile {folder}/model-int8.onnx {folder}/model-int8.so --target native",
    ]


def test_json_is_the_report(source: Path) -> None:
    outcome = optimize(source, "--metric", "closeness", "--target-latency", "1s", "--json")
    assert json.loads(outcome.out)["recommended"] in {"dense", "int8"}


def test_a_bound_that_nothing_meets_ends_with_1_and_keeps_the_files(source: Path) -> None:
    outcome = optimize(source, "--metric", "closeness", "--target-latency", "0.001us")
    assert outcome.code == 1
    assert "nothing is recommended: none takes at most 1e-06 ms; the fastest, " in outcome.out
    assert source.with_name("o").joinpath("model-int8.so").exists()


def test_a_metric_of_the_users(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.with_name("my_metric.py").write_text(
        "def first(session):\n    return len(session.get_inputs())\n\ndef broken(session):\n    return 1 / 0\n"
    )
    monkeypatch.setattr(sys, "path", [str(source.parent), *sys.path])
    outcome = optimize(source, "--metric", "my_metric:first", "--target-latency", "1s")
    assert "quality: my_metric:first" in outcome.out
    assert_refused(optimize(source, "--metric", "my_metric:nothing"), "GP568", "no function 'nothing'")
    assert_refused(optimize(source, "--metric", "my_metric:broken"), "GP645", "has results of another run")
    shutil.rmtree(source.with_name("o"))
    outcome = optimize(source, "--metric", "my_metric:broken")
    assert outcome.code == 2
    assert outcome.err.endswith("error: metric my_metric:broken raises ZeroDivisionError: division by zero [GP642]\n")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--target-latency", "12"), "GP648", "latency '12' is not of the form 12ms"),
        (("--target-latency", "1ms", "--max-drop", 0.1), "GP647", "expected one of them"),
        (("--metric", "accuracy"), "GP646", "metric is 'accuracy'"),
    ],
)
def test_bad_options_are_refused(source: Path, options: tuple[object, ...], code: str, message: str) -> None:
    outcome = optimize(source, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip().splitlines()[-1].endswith(f"[{code}]")
    assert message in outcome.err
    assert not source.with_name("o").exists()


def test_a_file_in_place_of_the_folder_is_refused(source: Path) -> None:
    source.with_name("o").touch()
    assert_refused(optimize(source), "GP603", "is a file, expected a folder")


def test_a_folder_whose_parent_is_missing_is_refused(source: Path) -> None:
    outcome = invoke("optimize", source, source.with_name("a") / "b", "--calibration", source.with_name("data.npz"))
    assert_refused(outcome, "GP603", "is not a folder")


@pytest.mark.parametrize(("text", "ms"), [("12ms", 12), ("800us", 0.8), ("1.5s", 1500), ("0.25ms", 0.25)])
def test_durations(text: str, ms: float) -> None:
    assert parse_duration(text) == pytest.approx(ms)


@pytest.mark.parametrize("text", ["", "12", "ms", "-1ms", "1.ms", "1 ms", "1min", "1e3ms"])
def test_texts_that_are_no_durations(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert caught.value.code == "GP648"


def test_what_is_tried() -> None:
    assert [family.name for family in FAMILIES] == ["channels", "zeros anywhere", "runs of 4 zeros, int8"]
    assert [method.words for method in CHANNEL_METHODS] == ["flap-repaired", "flap-repaired-damped"]
    assert [method.words for method in METHODS] == [
        "sparsegpt-repaired",
        "sparsegpt-repaired-damped",
        "magnitude-repaired-damped",
        "sparsegpt",
    ]
    assert METHODS[0].options() == "--repair bias,drift,least-squares,batch-norm "
    assert METHODS[2].options() == "--repair bias,drift,damping,least-squares,batch-norm "
    assert not METHODS[3].options()
