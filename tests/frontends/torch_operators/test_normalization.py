"""Normalisations in half precision: statistics and parameters of other types than the values."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from graphprune.frontends.torch_operators.normalization import BatchNormalization

TYPES = [torch.float16, torch.bfloat16, torch.float32]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("kinds", list(itertools.product(TYPES, TYPES, TYPES)))
def test_batch_normalization_takes_any_mixture_of_types(
    kinds: tuple[torch.dtype, torch.dtype, torch.dtype], mode: str
) -> None:
    torch.manual_seed(0)
    given = torch.randn(16, 3).to(kinds[0])
    scale, shift = torch.rand(2, 3).to(kinds[1])
    mean, variance = torch.rand(2, 3).to(kinds[2])
    training, new_mean, new_variance = mode == "train", mean.to(torch.float64), variance.to(torch.float64)
    wide = given.double(), new_mean, new_variance, scale.double(), shift.double()
    expected = functional.batch_norm(*wide, training, 0.1, 1e-5)
    found = BatchNormalization(momentum=0.9).train(training)(given, scale, shift, mean, variance)
    assert found.dtype == kinds[0]
    tolerance = 0.05 if torch.bfloat16 in kinds else 0.005
    for one, other in ((found, expected), (mean, new_mean), (variance, new_variance)):
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)
