"""Thresholds: what sorting gives, whatever the size, the order in memory and the ties; estimates within their bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.masks.torch_tensors import flat
from graphprune.masks.torch_threshold import ThresholdSearch, sampled_error


def threshold(values: torch.Tensor, pruned: int, *, sampled: bool = False) -> torch.Tensor:
    found: torch.Tensor = ThresholdSearch(sampled=sampled)(values, pruned)
    return found


def expected(values: torch.Tensor, pruned: int) -> float:
    ordered = np.sort(np.abs(values.double().numpy()), axis=None)
    return float(0.5 * (ordered[pruned - 1] + ordered[pruned]))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([2, 3, 100, 40_000, 300_000]), st.floats(0, 1), st.integers(0, 9), st.sampled_from([0, 1, 3, 50])
)
def test_it_is_what_sorting_gives(size: int, share: float, seed: int, levels: int) -> None:
    values = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    if levels:  # many ties
        values = (values * levels).round()
    pruned = min(max(1, round(share * size)), size - 1)
    assert threshold(values, pruned).item() == pytest.approx(expected(values, pruned), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_type(dtype: torch.dtype) -> None:
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = threshold(values, 90_000)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.item() == pytest.approx(expected(values.double(), 90_000), rel=1e-6)


def test_a_heavy_tail_and_sorted_values() -> None:
    for values in (torch.arange(200_000.0), torch.randn(200_000).exp() ** 3, torch.zeros(100_000)):
        assert threshold(values, 190_000 if values.numel() > 190_000 else 5).item() == pytest.approx(
            expected(values, 190_000 if values.numel() > 190_000 else 5)
        )


def test_nan_ends_all_the_same() -> None:
    values = torch.randn(100_000)
    values[::3] = torch.nan
    assert threshold(values, 90_000).numel() == 1


def test_dense_tensors_are_flattened_without_a_copy() -> None:
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    for tensor in (weight, torch.randn(5, 7).T, torch.randn(3, 4, 5)):
        assert flat(tensor).data_ptr() == tensor.data_ptr()
        assert torch.equal(flat(tensor).sort().values, tensor.flatten().sort().values)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_estimate_is_within_its_bound(share: float) -> None:
    values = torch.randn(1_000_000, generator=torch.Generator().manual_seed(1))
    limit = threshold(values, round(share * 1_000_000), sampled=True)
    assert limit != threshold(values, round(share * 1_000_000))
    wrong = abs((values.abs() < limit).double().mean().item() - share)
    assert wrong <= sampled_error(1_000_000) < 0.011


def test_the_bound_is_that_of_the_inequality() -> None:
    """Of 65,536 draws, exceeded once in a million times."""
    assert sampled_error(65_536) == 0
    assert sampled_error(65_537) == pytest.approx(np.sqrt(np.log(2e6) / (2 * 65_536)), rel=1e-12)


def test_an_estimate_keeps_something_and_lets_something_go() -> None:
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    assert threshold(values, 1, sampled=True) < 1e-3
    assert threshold(values, 199_999, sampled=True) > 3


def test_transforms_of_functions_sort() -> None:
    values = torch.randn(3, 50, generator=torch.Generator().manual_seed(2)).half()
    found = torch.vmap(lambda each: ThresholdSearch()(each, 20))(values)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx([expected(each, 20) for each in values], rel=1e-3)


def test_a_small_tensor_is_read_whole() -> None:
    values = torch.randn(60_000)
    assert sampled_error(60_000) == 0
    assert threshold(values, 30_000, sampled=True) == threshold(values, 30_000)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.5, 2), st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_search_finds_what_moved(scale: float, share: float, seed: int) -> None:
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(seed))
    search = ThresholdSearch()
    for moved in (values, values * 1.001, values * scale, values.round(decimals=1), values):
        pruned = round(share * moved.numel())
        assert search(moved, pruned).item() == pytest.approx(expected(moved, pruned), rel=1e-7)
