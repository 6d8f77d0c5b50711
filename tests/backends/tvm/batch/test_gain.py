from __future__ import annotations

import pytest

from graphprune.backends.tvm.batch.gain import reason_to_keep
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from tests.backends.tvm.graphs import parse


def reason(samples: int, rows: int, threads: int = 1, width: int = 256) -> str | None:
    """Why a product of `rows` rows a sample should be computed for all samples at once."""
    text = f"g (float[{samples},{rows},{width}] x) => (float[{samples},{rows},{width}] y) {{ y = MatMul(x,w) }}"
    model = prepare(parse(text, {"w": (width, width)}), lambda node: refusal(node, OPERATORS))
    return reason_to_keep(model, samples, Machine(16, 32, 32768, 1 << 20, threads, frozenset()))


def test_large_values_go_sample_by_sample() -> None:
    assert reason(16, 128) is None


def test_values_that_fit_the_cache_stay_together() -> None:
    assert "fit the cache" in str(reason(2, 128))


def test_a_weight_that_takes_longer_than_a_sample_is_read_once() -> None:
    assert "too little work" in str(reason(2048, 1))


def test_a_layer_that_takes_no_longer_than_its_call_stays_together() -> None:
    assert "too little work" in str(reason(4096, 8, width=64))
    assert reason(4096, 64, width=64) is None


@pytest.mark.parametrize(("samples", "threads", "even"), [(16, 2, True), (3, 2, False), (5, 2, True), (16, 32, False)])
def test_threads_need_samples_enough(samples: int, threads: int, *, even: bool) -> None:
    found = reason(samples, 512, threads)
    assert (found is None) == even
    assert even or f"{threads} threads cannot share {samples} samples" in str(found)
