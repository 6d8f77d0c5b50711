"""Pruning by samples from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.allocation import times
from graphprune.analysis.sparsity import weight_counts
from graphprune.calibration.layer import Solution, solve
from graphprune.frontends.onnx_file import load, save
from graphprune.planning.pruning_plan import WeightPlan
from tests.backends.tvm.graphs import parse
from tests.invoke import Outcome, assert_refused, invoke

SAMPLES = np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    text = "g (float[n,8] x) => (float[n,4] y) { [one] a = Gemm<transB=1>(x,u) c = Relu(a) [two] y = MatMul(c,v) }"
    save(parse(text, {"u": (16, 8), "v": (16, 4)}), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=SAMPLES)
    return tmp_path / "m.onnx"


def prune(source: Path, *options: object, calibration: object = "data.npz") -> Outcome:
    """Prune the source by the samples beside it."""
    given = ("--calibration", source.with_name(str(calibration)))
    return invoke("prune", source, source.with_name("o.onnx"), "--sparsity", 0.5, *given, *options)


def zeros(source: Path) -> dict[str, int]:
    tensors = load(source.with_name("o.onnx")).graph.initializers
    return {name: int(np.count_nonzero(tensors[name].const_value.numpy() == 0)) for name in ("u", "v")}  # type: ignore[union-attr]


@pytest.mark.parametrize("criterion", ["magnitude", "wanda", "sparsegpt"])
def test_a_pruned_file(criterion: str, source: Path) -> None:
    outcome = prune(source, "--criterion", criterion, "--repair", "bias, drift,least-squares")
    assert (outcome.code, outcome.err) == (0, "")
    assert zeros(source) == {"u": 64, "v": 32}
    assert sorted(path.name for path in source.parent.iterdir()) == ["data.npz", "m.onnx", "o.onnx"]
    assert "node 'two' (MatMul) has no bias" in outcome.out  # and the other one has
    assert "error" in outcome.out
    assert "%" in outcome.out


@pytest.mark.parametrize("options", [(), ("--repair", "drift")], ids=["alone", "repaired"])
def test_a_file_with_a_refined_mask(options: tuple[str, ...], source: Path) -> None:
    given = ("--criterion", "wanda", *options)
    assert prune(source, *given).code == 0
    unrefined = source.with_name("o.onnx").read_bytes()
    assert prune(source, *given, "--refine", "dsnot").code == 0
    assert source.with_name("o.onnx").read_bytes() != unrefined
    assert zeros(source) == {"u": 64, "v": 32}


def test_json_has_the_errors(source: Path) -> None:
    report = json.loads(prune(source, "--criterion", "wanda", "--json").out)
    assert {entry["name"]: (entry["zeros"], entry["pattern"]) for entry in report["weights"]} == {
        "u": (64, "unstructured rows"),
        "v": (32, "unstructured rows"),
    }
    assert all(0 < entry["error"] < 1 for entry in report["weights"])
    plain = json.loads(invoke("prune", source, source.with_name("o.onnx"), "--json").out)
    assert all("error" not in entry for entry in plain["weights"])


def test_a_recipe_says_the_same(source: Path) -> None:
    assert prune(source, "--criterion", "sparsegpt").code == 0
    expected = source.with_name("o.onnx").read_bytes()
    recipe = source.with_name("recipe.yaml")
    recipe.write_text("sparsity: 0.5\ncriterion: sparsegpt\n")
    samples = source.with_name("data.npz")
    outcome = invoke("prune", source, source.with_name("o.onnx"), "--recipe", recipe, "--calibration", samples)
    assert outcome.code == 0
    assert source.with_name("o.onnx").read_bytes() == expected


def test_only_so_many_samples(source: Path) -> None:
    few, first = source.with_name("few.npz"), SAMPLES[:3]
    np.savez(few, x=first)
    assert prune(source, "--criterion", "wanda", "--samples", 3).code == 0
    expected = source.with_name("o.onnx").read_bytes()
    assert prune(source, "--criterion", "wanda", calibration="few.npz").code == 0
    assert source.with_name("o.onnx").read_bytes() == expected


def test_a_run_that_was_stopped_goes_on(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def interrupted(plan: WeightPlan, *rest: object) -> Solution:
        if plan.name == "v" and "v" not in seen:
            seen.append("v")
            raise KeyboardInterrupt
        seen.append(plan.name)
        return solve(plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("graphprune.calibration.pruner.solve", interrupted)
    first = prune(source, "--criterion", "sparsegpt")
    assert first.code == 130
    assert not source.with_name("o.onnx").exists()
    assert source.with_name("o.onnx.layers").is_dir()
    assert_refused(prune(source, "--criterion", "wanda"), "o.onnx.layers has layers of another run", "[GP585]")
    assert prune(source, "--criterion", "sparsegpt").code == 0
    assert seen == ["u", "v", "v"]
    assert not source.with_name("o.onnx.layers").exists()


def test_what_is_wrong_is_one_line(source: Path) -> None:
    output = source.with_name("o.onnx")
    without = invoke("prune", source, output, "--criterion", "wanda")
    assert_refused(without, "criterion 'wanda' needs samples for weight 'u': give --calibration", "[GP306]")
    repair = invoke("prune", source, output, "--repair", "bias")
    assert_refused(repair, "--repair goes by samples, give --calibration too", "[GP608]")
    assert_refused(prune(source, "--repair", "luck"), "repair is 'luck'", "[GP586]")
    refined = invoke("prune", source, output, "--refine", "dsnot")
    assert_refused(refined, "--refine goes by samples, give --calibration too", "[GP608]")
    assert_refused(prune(source, "--refine", "luck"), "refine is 'luck', expected dsnot", "[GP590]")
    assert_refused(prune(source, "--refine", "dsnot", "--pattern", "block 2x2"), "weight 'u' cannot be", "[GP591]")
    assert_refused(prune(source, "--criterion", "l2"), "unknown criterion 'l2'", "[GP327]")
    assert_refused(invoke("prune", source, output, "--criterion", "wanda", "--scope", "global"), "[GP333]")
    latency = ("prune", source, output, "--target-latency", "1ms")
    assert_refused(invoke(*latency), "zeros for a time go by samples, give --calibration too", "[GP608]")
    assert_refused(prune(source, "--target-speedup", 2), "a time and --sparsity are given", "[GP608]")
    assert_refused(prune(source, "--pattern", "block 2x2", "--scope", "row"), "[GP332]")
    assert_refused(prune(source, calibration="none.npz"), "none.npz", "[GP606]")
    np.savez(source.with_name("bad.npz"), x=np.full((2, 8), np.nan, np.float32))
    assert_refused(
        prune(source, "--criterion", "wanda", calibration="bad.npz"), "NaN or infinite on sample 0", "[GP581]"
    )
    np.savez(source.with_name("other.npz"), z=SAMPLES)
    assert_refused(prune(source, calibration="other.npz"), "[GP51")
    assert not output.exists()
    assert not source.with_name("o.onnx.layers").exists()


def test_zeros_of_all_weights_are_shared_out_by_what_they_cost(source: Path) -> None:
    data = source.with_name("data.npz")
    outcome = invoke(
        *("prune", source, source.with_name("o.onnx"), "--sparsity", 0.65, "--calibration", data),
        *("--criterion", "wanda", "--scope", "global"),
    )
    assert outcome.code == 0
    found = zeros(source)
    assert abs(found["u"] / 128 - found["v"] / 64) > 0.05
    assert 0.63 <= sum(found.values()) / (128 + 64) < 0.7


def test_zeros_for_a_time(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def node_times(model: ir.Model, *_: object) -> dict[str, float]:
        counts = weight_counts(model)
        return {"one": 1 - counts["u"].zeros / 128, "two": 0.5}

    monkeypatch.setattr(times, "_node_times", node_times)
    given = ("--calibration", source.with_name("data.npz"), "--criterion", "wanda")
    for option in (("--target-latency", "0.9ms"), ("--target-speedup", 1.5 / 0.9)):
        assert invoke("prune", source, source.with_name("o.onnx"), *given, *option).code == 0
        assert zeros(source) == {"u": round(0.6 * 128 / 16) * 16, "v": 0}
