"""Reports of models that are there already."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.errors import InputError
from graphprune.measuring import benchmark
from graphprune.optimization.compare import compare
from graphprune.optimization.search import Commands
from graphprune.passes import PruneWeights
from tests.allocation.network import feeds, network, plan_of
from tests.backends.tvm.graphs import parse


@pytest.mark.usefixtures("quick_roofline")
def test_each_model_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "FASTEST_MS", 1.0)
    dense = network()
    made = gp.Pipeline([PruneWeights(plan=plan_of(dense, criterion="magnitude"))]).run(dense).model
    unknown = parse("g (float[1,16] x) => (float[1,8] y) { a = NonZero(x) y = Foo(a) }")
    others = {"a/pruned.onnx": made, "a/same.onnx": dense, "unknown.onnx": unknown}
    commands = Commands("dense.onnx", run="graphprune report")
    report = compare(dense, others, feeds(), metric="closeness", commands=commands)
    assert [each.name for each in report.candidates] == ["a/pruned.onnx", "a/same.onnx"]
    pruned, same = report.candidates
    assert same.quality == pytest.approx(1, abs=1e-5)
    assert 0 < pruned.quality < 0.95
    assert (report.dense.model, pruned.model, pruned.compiled) == ("dense.onnx", "a/pruned.onnx", None)
    assert pruned.compiled_bytes
    assert {layer.name: layer.zeros for layer in pruned.layers} == {"u": 192, "v": 288, "w": 96}
    assert {layer.name: layer.zeros for layer in same.layers} == dict.fromkeys("uvw", 0)
    assert (report.samples, report.recommended, report.command) == (24, None, "graphprune report")
    assert [(each.name, each.code[:2]) for each in report.refused] == [("unknown.onnx", "GP")]
    assert "Foo" in report.refused[0].reason
    assert [rival.name for rival in report.rivals] == ["onnxruntime, float32"]
    assert report.rivals[0].median_ms > 0


def test_samples_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        compare(network(), {}, [{"x": np.zeros((1, 3), np.float32)}])
    assert caught.value.code == "GP515"
