import json
from pathlib import Path

from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, write

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
    for fragment in ("median of 3 runs, threads: 1", "1.00x", "onnxruntime ", "apache-tvm "):
        assert fragment in outcome.out


def test_models_of_other_inputs_cannot_be_compared(tmp_path: Path) -> None:
    other = write(tmp_path / "b.onnx", TEXT.replace("6,6]", "9,9]"))
    outcome = invoke("bench", write(tmp_path / "a.onnx"), other, *FEW)
    assert_refused(outcome, "b.onnx (graphprune) does not take the common input", "[GP515]")
