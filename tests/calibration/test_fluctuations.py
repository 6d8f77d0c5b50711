"""What layers make of the channels that they read."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.analysis.channels import ChannelGroup, ChannelSlice, IndexMap
from graphprune.analysis.weights import LinearWeight, linear_weights
from graphprune.calibration.fluctuations import fluctuations_of, group_fluctuations
from graphprune.calibration.moments import Floats, gather
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(0)


def only_weight(text: str, *shape: int) -> LinearWeight:
    return linear_weights(parse(text, {"w": shape}))[0][0]


def found(weight: LinearWeight, rows: list[Floats]) -> Floats:
    return fluctuations_of(weight, gather([[*rows]], "w", products=False))


@pytest.mark.parametrize(("op", "shape"), [("Gemm", (5, 4)), ("Gemm<transB=1>", (4, 5))])
def test_a_product(op: str, shape: tuple[int, int]) -> None:
    weight = only_weight(f"g (float[n,5] x) => (float[n,4] y) {{ y = {op}(x,w) }}", *shape)
    rows = RNG.standard_normal((30, 5)) + 1
    matrix = weight.tensor.numpy().astype(np.float64)
    matrix = matrix if shape == (4, 5) else matrix.T
    expected = rows.var(axis=0) * np.square(matrix).sum(axis=0)
    np.testing.assert_allclose(found(weight, [rows]), expected, rtol=1e-9)


def test_groups_of_a_convolution_multiply_inputs_of_their_own() -> None:
    weight = only_weight("g (float[n,4,6] x) => (float[n,6,5] y) { y = Conv<group=2>(x,w) }", 6, 2, 2)
    rows = [RNG.standard_normal((30, 4)) + number for number in range(2)]  # columns are positions and inputs
    matrix = weight.tensor.numpy().astype(np.float64)
    expected = np.zeros(2)
    for number, part in enumerate(rows):
        for output in range(3 * number, 3 * number + 3):
            for position in range(2):
                for channel in range(2):
                    squared = matrix[output, channel, position] ** 2
                    expected[channel] += squared * part[:, 2 * position + channel].var()
    np.testing.assert_allclose(found(weight, rows), expected, rtol=1e-9)


def slice_of(name: str, *indices: list[int]) -> ChannelSlice:
    index = IndexMap.fit(np.array(indices))
    assert index is not None
    return ChannelSlice(name, 1, index)


def group_of(*readers: ChannelSlice) -> ChannelGroup:
    return ChannelGroup("g", 2, (), (), readers, ())


def test_layers_that_read_a_group_count_together() -> None:
    seen = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([10.0, 20, 30, 40, 50])}
    group = group_of(slice_of("a", [0, 1], [2, 3]), slice_of("b", [1, 2], [3, 4]))
    assert group_fluctuations(group, seen).tolist() == [[21, 32], [43, 54]]
    assert group_fluctuations(group_of(slice_of("a", [1], [3])), seen).tolist() == [[2], [4]]


def test_different_numbers_of_inputs_of_a_channel_count_in_the_mean() -> None:
    seen = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([10.0, 20])}
    group = group_of(slice_of("a", [0, 1], [2, 3]), slice_of("b", [0], [1]))
    assert group_fluctuations(group, seen).tolist() == [[11.5], [23.5]]
