"""Pruning channels from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from graphprune.analysis.channels.cost import ChannelCost
from graphprune.calibration.channels import prune_channels
from graphprune.frontends.onnx_file import load, save
from graphprune.planning.channels.options import ChannelOptions
from graphprune.planning.channels.planner import prunable_groups
from graphprune.planning.recipe import Recipe
from tests.backends.tvm.graphs import parse
from tests.invoke import assert_refused, invoke
from tests.planning.channels.channel_model import MODEL
from tests.small_model import unchanged
from tests.weighted import inferred_model, weight_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save(inferred_model(MODEL), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_half_of_the_channels_go_by_default(source: Path) -> None:
    outcome = invoke("prune", source, source.with_name("o.onnx"), "--pattern", "channel", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert [(each["group"], each["size"], each["pruned"]) for each in report["channels"]] == [
        ("w1", 16, 8),
        ("w2", 24, 12),
    ]
    assert [skip["code"] for skip in report["skips"]] == ["GP370"]
    small = load(source.with_name("o.onnx"))
    assert weight_of(small, "w1").shape == (8, 3, 3, 3)
    assert len(report["folded"]["channel_map"]["w2"]) == 12
    assert report["folded"]["parameters"]["after"] < 0.5 * report["folded"]["parameters"]["before"]


@pytest.mark.parametrize(("option", "what"), [("--target-macs", "macs"), ("--target-parameters", "parameters")])
def test_a_share_of_the_model(source: Path, option: str, what: str) -> None:
    outcome = invoke("prune", source, source.with_name("o.onnx"), "--pattern", "channel", option, "0.6", "--json")
    report = json.loads(outcome.out)
    counts = [each["pruned"] for each in report["channels"]]
    left = report["folded"][what]
    assert report["budget"] == {"share_of": what, "asked": 0.6, "removed": 1 - left["after"] / left["before"]}
    text = invoke("prune", source, source.with_name("o.onnx"), "--pattern", "channel", option, "0.6").out
    assert f"{report['budget']['removed']:.1%} of all {what} are removed, 60.0% were asked for" in text
    model = load(source)
    cost = ChannelCost.of(model, prunable_groups(model)[0])
    measure = cost.macs if what == "macs" else cost.parameters
    assert 0.6 <= 1 - measure(counts) / measure([0, 0]) < 0.7


@pytest.fixture
def samples(source: Path) -> Path:
    save(inferred_model(MODEL, {"w_var": np.ones(16, np.float32)}), source)
    np.savez(source.with_name("data.npz"), x=np.random.default_rng(0).standard_normal((20, 3, 8, 8), np.float32))
    return source.with_name("data.npz")


FLAP = ("--pattern", "channel", "--criterion", "flap")


def test_channels_go_by_samples(source: Path, samples: Path) -> None:
    given = (*FLAP, "--calibration", samples, "--samples", 12)
    outcome = invoke("prune", source, source.with_name("o.onnx"), "--sparsity", 0.3, *given, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    recipe = Recipe(sparsity=0.3, pattern="channel", channels=ChannelOptions(criterion="flap"))
    feeds = [{"x": np.load(samples)["x"][:12]}]
    expected = prune_channels(load(source), recipe, feeds)
    assert report["channels"] == [each.model_dump(mode="json") for each in expected.plan.channels]
    assert {each["criterion"] for each in report["channels"]} == {"flap"}
    assert report["folded"]["parameters"]["after"] < 0.8 * report["folded"]["parameters"]["before"]
    small = load(source.with_name("o.onnx"))
    assert weight_of(small, "w1").shape[0] == 16 - report["channels"][0]["pruned"]
    assert sorted(path.name for path in source.parent.iterdir()) == ["data.npz", "m.onnx", "o.onnx"]


def test_layers_that_take_no_bias_are_listed(source: Path, tmp_path: Path) -> None:
    text = "g (float[N,8] x, float[6] t) => (float[N,6] y) { a = MatMul(x,u) k = Relu(t) y = Gemm(a,v,k) }"
    save(parse(text, {"u": (8, 12), "v": (12, 6)}), source)
    inputs = np.random.default_rng(0).standard_normal((1, 1, 8), np.float32)
    np.savez(tmp_path / "one.npz", x=inputs, t=np.ones((1, 6), np.float32))
    outcome = invoke("prune", source, tmp_path / "o.onnx", *FLAP, "--calibration", tmp_path / "one.npz")
    assert "GP319" in outcome.out, outcome


def test_what_samples_of_channels_do_not_go_with(source: Path, samples: Path) -> None:
    output, given = source.with_name("o.onnx"), ("--calibration", samples)
    assert_refused(invoke("prune", source, output, *FLAP), "criterion 'flap' needs samples for group 'w1'", "[GP306]")
    refused = invoke("prune", source, output, *FLAP, *given, "--refine", "dsnot")
    assert_refused(refused, "--refine is for single weights, and the pattern is 'channel'", "[GP608]")
    assert_refused(invoke("prune", source, output, *FLAP, *given, "--repair", "luck"), "repair is 'luck'", "[GP586]")
    single = invoke("prune", source, output, "--criterion", "flap", *given)
    assert_refused(single, "unknown criterion 'flap'", "[GP327]")
    for criterion in ("wanda", "sparsegpt"):
        other = invoke("prune", source, output, "--pattern", "channel", "--criterion", criterion, *given)
        assert_refused(other, f"unknown criterion of channels '{criterion}'", "[GP327]")
    by_weight = invoke("prune", source, output, "--pattern", "channel", *given)
    assert_refused(by_weight, "the plan is of channels", "[GP587]")
    assert not output.exists()


def test_options_are_passed_on(source: Path) -> None:
    options = ["--pattern", "channel", "--round-to", "x86-64-v3", "--min-kept", "10", "--criterion", "l1"]
    outcome = invoke("prune", source, source.with_name("o.onnx"), *options, "--no-fold")
    assert outcome.code == 0
    assert "8 zero channels in 2 groups" in outcome.out
    assert weight_of(load(source.with_name("o.onnx")), "w1").shape == (16, 3, 3, 3)
    assert "left alone" in outcome.out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--pattern", "channel", "--sparsity", "0.5", "--target-macs", "0.5"], "GP608"),
        (["--pattern", "channel", "--target-macs", "0.999"], "GP339"),
        (["--pattern", "channel", "--round-to", "wide"], "GP493"),
        (["--pattern", "channel", "--criterion", "taste"], "GP327"),
        (["--pattern", "channel", "--ignore", "nobody"], "GP321"),
        (["--round-to", "8"], "GP337"),
        (["--fold"], "GP609"),
        (["--recipe", "r.yaml", "--min-kept", "8"], "GP608"),
    ],
)
def test_wrong_options_leave_nothing_behind(source: Path, options: list[str], code: str) -> None:
    with unchanged(source.parent):
        assert_refused(invoke("prune", source, source.with_name("o.onnx"), *options), code)
