from __future__ import annotations

import pytest

from graphprune.analysis.cost import NodeCost
from graphprune.backends.tvm.batch.gain import _loss, reason_to_keep
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from tests.backends.tvm.graphs import parse


def reason(
    samples: int, rows: int, threads: int = 1, width: int = 256, outputs: int | None = None, cache: int = 1 << 20
) -> str | None:
    """Why a product of `rows` rows a sample should be computed for all samples at once."""
    outputs = outputs or width
    text = f"g (float[{samples},{rows},{width}] x) => (float[{samples},{rows},{outputs}] y) {{ y = MatMul(x,w) }}"
    model = prepare(parse(text, {"w": (width, outputs)}), lambda node: refusal(node, OPERATORS))
    return reason_to_keep(model, samples, Machine(16, 32, 32768, cache, 16 << 20, threads, frozenset()))


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


def test_four_threads_of_five_are_shared_evenly() -> None:
    assert reason(4, 4096, 5) is None
    assert reason(3, 4096, 5) == "5 threads cannot share 3 samples evenly"
    assert reason(9, 4096, 5) is None
    assert reason(11, 4096, 5) == "5 threads cannot share 11 samples evenly"


@pytest.mark.parametrize(("rows", "cache", "faster"), [(125, 0, False), (126, 0, True), (126, 110_880, False)])
def test_a_fifth_of_the_time_is_gained_for_the_time_of_a_call(rows: int, cache: int, *, faster: bool) -> None:
    """Of 2 samples by 10 inputs and 100 outputs; 125 rows take 500,000 operations, of which a fifth is one call."""
    assert (reason(2, rows, width=10, outputs=100, cache=cache) is None) == faster


def test_values_of_one_byte_more_than_the_cache_do_not_fit() -> None:
    assert reason(2, 126, width=10, outputs=100, cache=110_879) is None


@pytest.mark.parametrize(
    ("macs", "weight", "samples", "operations"),
    [
        (1_000_000, 100, 4, 300_000),  # calls alone: reading the weight takes no longer than computing
        (1_000, 4_096, 4, 300_000 + 3 * 2 * 4_096),  # the weight is read four times
        (4_096, 2_048, 4, 300_000 + 4 * 4_096 - 8_192),  # the weight takes longer than a sample, but not than all
    ],
)
def test_what_calling_and_reading_for_each_sample_costs(macs: int, weight: int, samples: int, operations: int) -> None:
    assert _loss(NodeCost("n", "MatMul", macs, 0, weight, None), samples) == operations


def test_the_weights_of_a_step_are_read_for_all_samples() -> None:
    text = "g (float[4,8,9] x) => (float[4,8,1,5] y) { y = RNN<hidden_size=5, layout=1>(x,w,r) }"
    model = prepare(parse(text, {"w": (1, 5, 9), "r": (1, 5, 5)}), lambda node: refusal(node, OPERATORS))
    found = str(reason_to_keep(model, 4, Machine(16, 32, 32768, 0, 16 << 20, 1, frozenset())))
    assert found.startswith("all samples share what each step")
