"""Quantizing files from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.frontends.onnx_file import load, save
from tests.backends.tvm.graphs import parse, pruned
from tests.invoke import Outcome, assert_refused, invoke

TEXT = """g (float[n,3,8,8] x) => (float[n,5] y) {
    [first] a = Conv<pads=[1,1,1,1]>(x,w) b = Relu(a) p = GlobalAveragePool(b) f = Flatten(p)
    [last] y = Gemm<transB=1>(f,v) }"""
SAMPLES = np.random.default_rng(0).uniform(-1, 1, (6, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save(parse(TEXT, {"w": pruned(4, 3, 3, 3), "v": (5, 4)}), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=SAMPLES)
    return tmp_path / "m.onnx"


def quantize(source: Path, *options: object) -> Outcome:
    """Quantize the source by the samples beside it."""
    output, samples = source.with_name("q.onnx"), source.with_name("data.npz")
    return invoke("quantize", source, output, "--calibration", samples, *options)


def test_a_file_of_integers(source: Path) -> None:
    outcome = quantize(source)
    assert (outcome.code, outcome.err) == (0, "")
    assert "q.onnx: 4 of 4 nodes on 8 bits, 6 samples" in outcome.out
    assert "output y: error" in outcome.out
    weights = load(source.with_name("q.onnx")).graph.initializers
    assert weights["w_quantized"].dtype == ir.DataType.INT8
    compiled = source.with_name("q.so")
    assert invoke("compile", source.with_name("q.onnx"), compiled).code == 0
    assert compiled.exists()


def test_the_report(source: Path) -> None:
    report = json.loads(quantize(source, "--json", "--keep", "last", "--samples", 4).out)
    assert report["samples"] == 4
    assert report["kept"] == [{"node": "last", "reason": "stays as it is, as asked for", "code": "GP392"}]
    assert 0 < report["errors"]["y"] < 0.1
    assert "first" in {each["node"] for each in report["quantized"]}


def test_repairs_are_told_and_can_be_left_out(source: Path) -> None:
    assert json.loads(quantize(source, "--json", "--no-repair").out)["repairs"] == []
    repairs = json.loads(quantize(source, "--json").out)["repairs"]
    assert {"rule": "correct-bias", "node": "last", "detail": "5 channels shifted"} in repairs
    assert "correct-bias: 2 nodes" in quantize(source).out


def test_the_error_is_that_of_the_file(source: Path) -> None:
    """By hand: the root of the mean square of the difference, over that of the values."""
    reported = json.loads(quantize(source, "--json").out)["errors"]["y"]
    sides = [session_for(load(source.with_name(name)), optimize=False) for name in ("m.onnx", "q.onnx")]
    ours, theirs = (np.concatenate([side.run(None, {"x": each[None]})[0] for each in SAMPLES]) for side in sides)
    assert reported == pytest.approx(np.linalg.norm(ours - theirs) / np.linalg.norm(ours), rel=1e-5)


def test_no_more_than_an_error(source: Path) -> None:
    report = json.loads(quantize(source, "--json", "--max-error", 0).out)
    assert report["errors"] == {"y": 0.0}
    assert {"first", "last"} <= {each["node"] for each in report["kept"]}


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"z": SAMPLES}, ("unknown input 'z'", "[GP512]")),
        ({"x": SAMPLES[:, :2]}, ("expected 3", "[GP515]")),
        ({"x": SAMPLES.astype(np.float64)}, ("dtype float64", "[GP514]")),
        ({"x": SAMPLES[:0]}, ("[GP515]",)),
        ({"x": np.full_like(SAMPLES, np.nan)}, ("sample 0: input 'x' holds NaN", "[GP575]")),
        ({"x": np.ones_like(SAMPLES)}, ("the inputs are 1 everywhere", "[GP577]")),
    ],
)
def test_bad_samples(source: Path, arrays: dict[str, np.ndarray], expected: tuple[str, ...]) -> None:
    np.savez(source.with_name("data.npz"), **arrays)  # type: ignore[arg-type] # names of arrays
    assert_refused(quantize(source), *expected)
    assert not source.with_name("q.onnx").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--method", "max"), "expected one of minmax, entropy, percentile [GP578]"),
        (("--keep", "third"), "no node is named 'third' that could stay as it is [GP396]"),
        (("--samples", "0"), "--samples"),
        (("--max-error", "-1"), "expected a share such as 0.01 [GP579]"),
    ],
)
def test_bad_options(source: Path, options: tuple[str, ...], expected: str) -> None:
    assert_refused(quantize(source, *options), expected)
    assert not source.with_name("q.onnx").exists()


@pytest.mark.parametrize("given", ["nothing.npz", "no.such.module:function"])
def test_missing_samples(source: Path, given: str) -> None:
    assert_refused(invoke("quantize", source, source.with_name("q.onnx"), "--calibration", given))


INTERRUPTED = """
import os, signal
import numpy as np
import graphprune.{module} as module
original = module.{name}

def interrupted(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return original(*arguments, **options)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
module.{name} = interrupted
from graphprune.cli import main
main()
"""


@pytest.mark.parametrize(
    ("module", "name"), [("calibration.ranges", "_is_finite"), ("calibration.repairs", "bias_corrections")]
)
def test_ctrl_c_leaves_nothing(source: Path, module: str, name: str) -> None:
    """While samples are looked at, and while repairs are tried."""
    before = sorted(source.parent.iterdir())
    files = [str(source.with_name(each)) for each in ("m.onnx", "q.onnx", "data.npz")]
    arguments = ["quantize", *files[:2], "--calibration", files[2]]
    script = INTERRUPTED.format(module=module, name=name)
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
    assert sorted(source.parent.iterdir()) == before


def test_a_folder_that_is_not_there(source: Path) -> None:
    target = source.parent / "no" / "q.onnx"
    assert_refused(invoke("quantize", source, target, "--calibration", source.with_name("data.npz")), "[GP603]")
