"""Whole models of a batch, exported as their frameworks do, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.batch.split import batch_size
from graphprune.frontends.torch_module import from_torch
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.testing.models.structures import STRUCTURES
from tests.backends.tvm.batch.samples import compile_samples
from tests.backends.tvm.graphs import assert_equal, compile_, parse, pruned

SAMPLES = 3


@pytest.mark.parametrize("name", ["unet_small", "convnext_small", "deit_small", "bert_sdpa", "llama_small", "t5_small"])
def test_real_models(name: str) -> None:
    module, inputs = STRUCTURES[name]()
    batch = {key: value.repeat(SAMPLES, *[1] * (value.dim() - 1)) for key, value in inputs.items()}
    model = from_torch(module.eval(), kwargs=batch)
    session = compile_samples(model)
    assert session.batch.samples == SAMPLES, session.batch.why
    assert_equal(session, model)


def test_packed_layers() -> None:
    text = """g (float[4,16,9,9] x) => (float[4,10] y) {
        a = Conv<pads=[1,1,1,1]>(x,v)
        b = Relu(a)
        m = GlobalAveragePool(b)
        f = Flatten(m)
        y = Gemm<transB=1>(f,w,c) }"""
    model = parse(text, {"v": pruned(24, 16, 3, 3, zeros=0.95), "w": pruned(10, 24), "c": (10,)})
    packed = run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model).model
    session = compile_samples(packed)
    assert session.batch.samples == 4
    assert any(note.kernel.startswith("rows") for note in session.kernels)
    assert_equal(session, packed)


def test_a_batch_is_run_sample_by_sample_where_that_is_faster() -> None:
    text = "g (float[16,128,256] x) => (float[16,128,256] y) { y = MatMul(x,w) }"
    model = parse(text, {"w": (256, 256)})
    session = compile_(model)
    assert session.batch.samples == 16
    assert "do not fit the cache" in session.batch.why
    assert session.calls[0].operations == 2 * 128 * 256 * 256
    assert_equal(session, model)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [("float[3,4] y", 3), ("float[3,4] y, float[3] z", 3), ("float[3,4] y, float[4,3] z", 1), ("float y", 1)],
)
def test_batch_size(outputs: str, expected: int) -> None:
    graph = parse(f"g (float[3,4] x) => ({outputs}) {{ y = Relu(x)\n z = Relu(x) }}").graph
    assert batch_size(graph) == expected


def test_constants_stay_as_they_are_for_other_readers() -> None:
    repeated = np.repeat(np.arange(8, dtype=np.float32).reshape(1, 2, 4), SAMPLES, axis=0)
    text = """g (float[3,2,4] x, float[1,3,2,4] z) => (float[3,2,4] y) {
        a = Add(x,c)
        s = Squeeze(z,i)
        t = ReduceSum(c,i)
        y = Add(a,t) }"""
    model = parse(text, {"c": repeated, "i": np.array([0], np.int64)})
    session = compile_samples(model)
    assert session.batch.samples == SAMPLES
    assert_equal(session, model)
