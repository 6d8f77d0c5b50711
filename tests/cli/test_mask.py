"""The way over soft masks: mask, and harden to what prune gives."""

import json
from pathlib import Path

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for_file
from graphprune.frontends.onnx_file import load
from graphprune.masked.calls import MaskCall, mask_calls
from tests.invoke import assert_refused, invoke
from tests.small_model import unchanged, write


def call_in(path: Path) -> MaskCall:
    (call,) = mask_calls(load(path))
    return call


def test_nine_in_ten_are_to_go_by_default(tmp_path: Path) -> None:
    outcome = invoke("mask", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert [(entry["name"], entry["pruned"]) for entry in report["weights"]] == [("w", 1037)]
    assert (report["temperature"], report["ratio"], report["skips"]) == ("0.0001", 1.0, [])
    call = call_in(tmp_path / "o.onnx")
    assert (call.pruned, call.ratio) == (1037, 1.0)
    assert call.temperature.value == pytest.approx(1e-4)


def test_options_are_passed_on(tmp_path: Path) -> None:
    options = ["--pattern", "2:4", "--temperature", "0.1t2", "--ratio", "0.25"]
    outcome = invoke("mask", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", *options)
    assert outcome.code == 0
    assert "soft masks on 1 weights, temperature 0.1t2, ratio 0.25" in outcome.out
    call = call_in(tmp_path / "o.onnx")
    assert (str(call.pattern), call.ratio, str(call.temperature)) == ("2:4", 0.25, "0.1t2")


def test_a_recipe_says_it_all(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("sparsity: 0.25\npattern: block 4x1\n")
    outcome = invoke("mask", write(tmp_path / "m.onnx"), tmp_path / "o.onnx", "--recipe", tmp_path / "r.yaml")
    assert outcome.code == 0
    assert call_in(tmp_path / "o.onnx").pruned == 288


def test_at_ratio_zero_the_file_computes_what_it_did(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    assert invoke("mask", model, tmp_path / "o.onnx", "--ratio", "0").code == 0
    x = np.random.default_rng(0).standard_normal((1, 8, 6, 6)).astype(np.float32)
    (before,), (after,) = (session_for_file(path).run(None, {"x": x}) for path in (model, tmp_path / "o.onnx"))
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--temperature", "warm"], "GP328"),
        (["--temperature", "0"], "GP328"),
        (["--ratio", "1.5"], "GP369"),
        (["--pattern", "3:3"], "GP327"),
        (["--sparsity", "1"], "GP320"),
    ],
)
def test_wrong_options_leave_nothing_behind(tmp_path: Path, options: list[str], code: str) -> None:
    model = write(tmp_path / "m.onnx")
    with unchanged(tmp_path):
        assert_refused(invoke("mask", model, tmp_path / "o.onnx", *options), code)


def test_a_masked_model_is_not_masked_again_or_compiled(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    assert invoke("mask", model, tmp_path / "o.onnx").code == 0
    with unchanged(tmp_path):
        assert_refused(invoke("mask", tmp_path / "o.onnx", tmp_path / "p.onnx"), "[GP")
        compiled = invoke("compile", tmp_path / "o.onnx", tmp_path / "p.so")
        assert_refused(compiled, "stage masked, harden its masks before compiling", "GP533")
        assert_refused(invoke("bench", tmp_path / "o.onnx"), "GP533")


def test_a_masked_model_is_run_and_verified_by_onnx_runtime(tmp_path: Path) -> None:
    model = write(tmp_path / "m.onnx")
    assert invoke("mask", model, tmp_path / "o.onnx", "--ratio", "0").code == 0
    assert invoke("run", tmp_path / "o.onnx").code == 0
    assert invoke("verify", model, tmp_path / "o.onnx").code == 0
    assert invoke("inspect", tmp_path / "o.onnx").code == 0
