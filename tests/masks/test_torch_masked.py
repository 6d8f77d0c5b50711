"""The softly masked weight and its slope beside their formulas, in both of the ways that they are computed."""

from __future__ import annotations

import pytest
import torch

from graphprune.masks.torch_masked import masked_weight

SQUARED, TAU = 0.49, 0.3


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def formula(weight: torch.Tensor, squared: torch.Tensor, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The masked weight and its slope, with a mask of 1 where nothing goes."""
    mask = torch.sigmoid((weight**2 - squared) / tau)
    slope = mask + 2 * weight**2 / tau * mask * (1 - mask)
    return torch.where(squared == 0, weight, mask * weight), torch.where(squared == 0, 1, slope)


def one_for_all(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (torch.tensor(each, dtype=weight.dtype) for each in (SQUARED, TAU))  # type: ignore[return-value]


def one_an_element(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    squared = torch.full_like(weight, SQUARED)
    squared[0] = 0
    squared[1] = 0.01
    return squared, torch.full_like(weight, TAU)


@pytest.mark.parametrize("limits", [one_for_all, one_an_element])
@pytest.mark.parametrize("shape", [(6, 5), (400, 500)])
def test_values_and_slopes_are_those_of_the_formula(limits: object, shape: tuple[int, ...]) -> None:
    assert callable(limits)
    weight = drawn(*shape).requires_grad_()
    squared, tau = limits(weight.detach())
    incoming = drawn(*shape).cos()
    found = masked_weight(weight, squared, tau)
    (gradient,) = torch.autograd.grad(found, weight, incoming)
    value, slope = formula(weight.detach(), squared, tau)
    torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient, slope * incoming, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("limits", [one_for_all, one_an_element])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_result_is_of_the_type_and_memory_format_of_the_weight(limits: object, dtype: torch.dtype) -> None:
    assert callable(limits)
    weight = drawn(4, 6, 3, 3, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    squared, tau = limits(weight.detach().float())
    found = masked_weight(weight, squared, tau)
    (gradient,) = torch.autograd.grad(found, weight, torch.ones_like(found).contiguous())
    assert (found.dtype, gradient.dtype) == (dtype, dtype)
    assert found.is_contiguous(memory_format=torch.channels_last)
    value, slope = formula(weight.detach().double(), squared.double(), tau.double())
    tolerance = {torch.float16: 1e-3, torch.bfloat16: 1e-2, torch.float32: 1e-6}[dtype]
    torch.testing.assert_close(found.double(), value, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient.double(), slope, rtol=2 * tolerance, atol=tolerance)


@pytest.mark.parametrize("limits", [one_for_all, one_an_element])
def test_transforms_of_functions_get_the_same_slope(limits: object) -> None:
    assert callable(limits)
    weight = drawn(6, 5)
    squared, tau = limits(weight)
    gradient = torch.func.grad(lambda each: masked_weight(each, squared, tau).sum())(weight)
    torch.testing.assert_close(gradient, formula(weight, squared, tau)[1], rtol=1e-12, atol=1e-14)


def test_among_zeros_a_temperature_of_next_to_nothing_gives_numbers() -> None:
    weight = torch.zeros(5, requires_grad=True)
    found = masked_weight(weight, torch.tensor(1e-36), torch.tensor(1e-37))
    (gradient,) = torch.autograd.grad(found.sum(), weight)
    assert found.tolist() == [0] * 5
    assert bool(gradient.isfinite().all())
