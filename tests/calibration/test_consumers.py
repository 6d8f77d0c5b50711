"""What layers make of the channels that they read."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.analysis.channels import ChannelGroup, ChannelSlice, IndexMap
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.calibration.consumers import Consumer, group_fluctuations, pruned_inputs
from graphprune.calibration.moments import Floats, gather
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(0)


def only_weight(text: str, *shape: int) -> LinearWeight:
    return linear_weights(parse(text, {"w": shape}))[0][0]


def seen(weight: LinearWeight, rows: list[Floats]) -> Consumer:
    return Consumer.of(weight, gather([[*rows]], "w", products=False))


@pytest.mark.parametrize(("op", "shape"), [("Gemm", (5, 4)), ("Gemm<transB=1>", (4, 5))])
def test_a_product(op: str, shape: tuple[int, int]) -> None:
    weight = only_weight(f"g (float[n,5] x) => (float[n,4] y) {{ y = {op}(x,w) }}", *shape)
    rows = RNG.standard_normal((30, 5)) + 1
    matrix = weight.tensor.numpy().astype(np.float64)
    matrix = matrix if shape == (4, 5) else matrix.T
    consumer = seen(weight, [rows])
    expected = rows.var(axis=0) * np.square(matrix).sum(axis=0)
    np.testing.assert_allclose(consumer.fluctuations, expected, rtol=1e-9)
    gone = np.array([1, 3])
    np.testing.assert_allclose(consumer.lost(gone), matrix[:, gone] @ rows.mean(axis=0)[gone], rtol=1e-9)
    assert not consumer.lost(np.array([], np.int64)).any()


def test_groups_of_a_convolution_multiply_inputs_of_their_own() -> None:
    weight = only_weight("g (float[n,4,6] x) => (float[n,6,5] y) { y = Conv<group=2>(x,w) }", 6, 2, 2)
    rows = [RNG.standard_normal((30, 4)) + number for number in range(2)]  # columns are positions and inputs
    consumer = seen(weight, rows)
    matrix = weight.tensor.numpy().astype(np.float64)
    expected, lost = np.zeros(2), np.zeros(6)
    for number, part in enumerate(rows):
        for output in range(3 * number, 3 * number + 3):
            for position in range(2):
                lost[output] += matrix[output, 1, position] * part[:, 2 * position + 1].mean()
                for channel in range(2):
                    squared = matrix[output, channel, position] ** 2
                    expected[channel] += squared * part[:, 2 * position + channel].var()
    np.testing.assert_allclose(consumer.fluctuations, expected, rtol=1e-9)
    np.testing.assert_allclose(consumer.lost(np.array([1])), lost, rtol=1e-9)


def slice_of(name: str, *indices: list[int]) -> ChannelSlice:
    index = IndexMap.fit(np.array(indices))
    assert index is not None
    return ChannelSlice(name, 1, index)


def consumer_of(*fluctuations: float) -> Consumer:
    weight = only_weight("g (float[n,5] x) => (float[n,4] y) { y = MatMul(x,w) }", 5, 4)
    return Consumer(weight, np.zeros((1, 5)), np.array(fluctuations))


def group_of(*readers: ChannelSlice) -> ChannelGroup:
    return ChannelGroup("g", 2, (), (), readers, ())


def test_layers_that_read_a_group_count_together() -> None:
    consumers = {"a": consumer_of(1, 2, 3, 4), "b": consumer_of(10, 20, 30, 40, 50)}
    group = group_of(slice_of("a", [0, 1], [2, 3]), slice_of("b", [1, 2], [3, 4]))
    assert group_fluctuations(group, consumers).tolist() == [[21, 32], [43, 54]]
    assert group_fluctuations(group_of(slice_of("a", [1], [3])), consumers).tolist() == [[2], [4]]


def test_different_numbers_of_inputs_of_a_channel_count_in_the_mean() -> None:
    consumers = {"a": consumer_of(1, 2, 3, 4), "b": consumer_of(10, 20)}
    group = group_of(slice_of("a", [0, 1], [2, 3]), slice_of("b", [0], [1]))
    assert group_fluctuations(group, consumers).tolist() == [[11.5], [23.5]]


def test_inputs_that_go() -> None:
    assert pruned_inputs(slice_of("a", [0, 1], [4, 5], [8, 9]), (0, 2)).tolist() == [0, 1, 8, 9]
