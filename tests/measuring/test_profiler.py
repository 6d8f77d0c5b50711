"""Profiles: every kernel of a run once and in order, with what it computes and moves."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.backends.tvm.building import roofline
from graphprune.errors import InputError
from graphprune.passes import PackWeights
from graphprune.passes.base import run_pass
from graphprune.verification.feeds import random_feed
from graphprune_runtime.interface import Session
from tests.backends.tvm.graphs import parse, pruned

TEXT = """g (float[1,16,6,6] x, int64[2] i) => (float[1,10] y, float[2,4] e) {
    [first] a = Conv (x, u) [relu] b = Relu (a) [second] c = Conv (b, v) [pool] p = GlobalAveragePool (c)
    [flat] f = Flatten (p) [third] y = MatMul (f, w) [pick] e = Gather (table, i) }"""

pytestmark = pytest.mark.usefixtures("quick_roofline")

SPARSE = pruned(8, 8, 1, 1, zeros=0.75)


def model() -> ir.Model:
    dense = {"u": (8, 16, 1, 1), "w": (8, 10), "table": (1000, 4)}
    text = parse(TEXT, {**dense, "v": SPARSE})
    return run_pass(PackWeights(min_sparsity=0.5), text).model


def feed_of(session: Session) -> dict[str, np.ndarray]:
    limits = {info.name: 1000 for info in session.get_inputs() if info.name == "i"}
    return random_feed(session.get_inputs(), 0, {}, limits)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_kernel_is_told_in_order(threads: int) -> None:
    session = gp.compile(model(), threads=threads)
    profile = gp.profile(session, feed_of(session), threads, runs=3)
    nodes = [kernel.node for kernel in profile.kernels]
    assert list(dict.fromkeys(nodes)) == ["first", "second", "pool", "third", "pick"]
    assert {kernel.node: kernel.operators for kernel in profile.kernels}["first"] == "Conv+Relu"
    assert all(kernel.ms > 0 and 0 < kernel.limit_ms < math.inf for kernel in profile.kernels)
    assert 0 < profile.kernels_ms < 1000
    assert profile.threads == threads


def test_operations_are_those_of_nonzeros() -> None:
    session = gp.compile(model())
    profile = gp.profile(session, feed_of(session), runs=1)
    operations = {k.node: k.operations for k in profile.kernels if k.operations}
    assert operations == {"first": 2 * 8 * 16 * 36, "second": 2 * np.count_nonzero(SPARSE) * 36, "third": 2 * 8 * 10}


def test_samples_of_a_batch_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = inspect.unwrap(roofline.measure_roofline)  # now, since the limit is compared with
    monkeypatch.setattr(roofline, "measure_roofline", measure)
    text = "g (float[16,128,256] x) => (float[16,128,256] y) { y = MatMul(x,w) }"
    session = gp.compile(parse(text, {"w": (256, 256)}))
    (product,) = (k for k in gp.profile(session, feed_of(session), runs=2).kernels if k.operations)
    assert product.operations == 2 * 16 * 128 * 256 * 256
    assert product.nbytes > 2 * 16 * 128 * 256 * 4
    assert 0 < product.share_of_limit < 1.5


def test_a_gather_reads_what_it_writes() -> None:
    session = gp.compile(model())
    (pick,) = (k for k in gp.profile(session, feed_of(session), runs=1).kernels if k.node == "pick")
    assert pick.nbytes == 2 * (2 * 4 * 4) + 2 * 8


def test_sums_of_each_kind() -> None:
    session = gp.compile(model())
    profile = gp.profile(session, feed_of(session), runs=1)
    kinds = profile.by_kernel()
    assert sum(calls for calls, _ in kinds) == len(profile.kernels)
    assert sum(total.ms for _, total in kinds) == pytest.approx(profile.kernels_ms)
    assert [total.ms for _, total in kinds] == sorted((total.ms for _, total in kinds), reverse=True)


def test_a_saved_model_can_be_profiled_too(tmp_path: Path) -> None:
    session = gp.compile(model())
    session.save(tmp_path / "m.so")
    loaded = gp.load_session(tmp_path / "m.so")
    first, second = (gp.profile(each, feed_of(each), runs=1) for each in (session, loaded))
    for one, other in zip(first.kernels, second.kernels, strict=True):
        assert replace(one, ms=0.0, limit_ms=0.0) == replace(other, ms=0.0, limit_ms=0.0)


def test_the_session_still_runs_afterwards() -> None:
    session = gp.compile(model())
    feed = feed_of(session)
    before = session.run(None, feed)
    gp.profile(session, feed, runs=2)
    for one, other in zip(before, session.run(None, feed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_plain_data_is_json() -> None:
    session = gp.compile(model())
    data = gp.profile(session, feed_of(session), runs=1).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["kernels"][0] == data["kernels"][0]
    assert data["roofline"]["levels"][-1]["capacity"] is None


def test_other_sessions_are_refused() -> None:
    session = gp.compile(model(), backend="onnxruntime")
    with pytest.raises(InputError, match=r"OnnxRuntimeSession cannot be profiled, expected compiled code \[GP574\]"):
        gp.profile(session, {})


def test_no_run_is_refused() -> None:
    session = gp.compile(model())
    with pytest.raises(InputError, match=r"runs is 0, expected at least 1 \[GP572\]"):
        gp.profile(session, feed_of(session), runs=0)
