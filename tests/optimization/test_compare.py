"""Reports of models that are there already."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.analysis.sparsity import weight_counts
from graphprune.errors import InputError
from graphprune.optimization.compare import compare
from graphprune.optimization.searching import Commands
from graphprune.passes import PruneWeights
from graphprune.reporting.report import Report
from tests.allocation.network import feeds, network, plan_of
from tests.backends.tvm.graphs import parse


@pytest.fixture(scope="module")
def report() -> Report:
    dense = network()
    pruned = gp.Pipeline([PruneWeights(plan=plan_of(dense, criterion="magnitude"))]).run(dense).model
    unknown = parse("g (float[1,16] x) => (float[1,8] y) { a = NonZero(x) y = Foo(a) }")
    others = {"a/pruned.onnx": pruned, "a/same.onnx": dense, "unknown.onnx": unknown}
    return compare(dense, others, feeds(), metric="closeness", commands=Commands("dense.onnx", run="graphprune report"))


def test_each_model_is_looked_at(report: Report) -> None:
    assert [each.name for each in report.candidates] == ["a/pruned.onnx", "a/same.onnx"]
    pruned, same = report.candidates
    assert same.quality == pytest.approx(1, abs=1e-5)
    assert 0 < pruned.quality < 0.95
    assert (report.dense.model, pruned.model, pruned.compiled) == ("dense.onnx", "a/pruned.onnx", None)
    assert pruned.compiled_bytes
    assert {layer.name: layer.zeros for layer in pruned.layers} == {"u": 192, "v": 288, "w": 96}
    assert {layer.name: layer.zeros for layer in same.layers} == {
        name: counts.zeros for name, counts in weight_counts(network()).items() if name in "uvw"
    }
    assert (report.samples, report.recommended, report.command) == (24, None, "graphprune report")


def test_what_cannot_be_compiled_is_told(report: Report) -> None:
    assert [each.name for each in report.refused] == ["unknown.onnx"]
    assert report.refused[0].code.startswith("GP")
    assert "Foo" in report.refused[0].reason


def test_onnxruntime_runs_the_dense_model(report: Report) -> None:
    assert [rival.name for rival in report.rivals] == ["onnxruntime, float32"]
    assert report.rivals[0].median_ms > 0


def test_samples_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        compare(network(), {}, [{"x": np.zeros((1, 3), np.float32)}])
    assert caught.value.code == "GP515"
