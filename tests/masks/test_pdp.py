"""The soft mask: the identities of its definition, its gradient, and every pattern beside a plain NumPy version."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from graphprune.errors import RecipeError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Block, Pattern, Unstructured
from graphprune.masks.pdp import channel_mask, channel_scores, hard_mask, soft_mask, soft_masked
from graphprune.masks.temperature import Temperature

AXES = WeightAxes()
PATTERNS: list[Pattern] = [Unstructured(), NM(2, 4), NM(1, 3), Block(4, 1), Block(2, 3), NM(2, 4, 2), NM(1, 3, 8)]
TAU = Temperature(0.1, relative=True)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def of(
    pattern: Pattern = PATTERNS[0], budget: float = 0.75, ratio: float = 1.0, tau: Temperature = TAU
) -> dict[str, Any]:
    return {"pattern": pattern, "axes": AXES, "budget": budget, "ratio": ratio, "temperature": tau}


def sigmoid(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))))


def plain(scores: npt.NDArray[Any], pruned: int, tau: Temperature) -> npt.NDArray[Any]:
    ordered = np.sort(scores, axis=None)
    limit = 0.5 * (ordered[pruned - 1] + ordered[pruned])
    return sigmoid((scores**2 - limit**2) / (tau.value * (limit**2 if tau.relative else 1)))


def plain_mask(
    weight: npt.NDArray[Any], pattern: Pattern, budget: float, ratio: float, tau: Temperature
) -> npt.NDArray[Any]:
    rows = np.abs(AXES.rows(weight))
    outputs, positions, inputs = rows.shape
    mask = np.ones_like(rows)
    if isinstance(pattern, NM):
        shared = rows.reshape(-1, pattern.outputs, positions, inputs)
        rows = np.sqrt((shared**2).mean(1)).repeat(pattern.outputs, 0)
        for start in range(0, inputs, pattern.of):
            group = rows[..., start : start + pattern.of]
            if group.shape[-1] > pattern.keep:
                ordered = np.sort(group, -1)[..., ::-1]
                limit = ratio * 0.5 * (ordered[..., pattern.keep - 1] + ordered[..., pattern.keep])[..., None]
                width = tau.value * (limit**2 if tau.relative else 1)
                mask[..., start : start + pattern.of] = sigmoid((group**2 - limit**2) / width)
    elif isinstance(pattern, Block):
        blocks = rows.reshape(
            outputs // pattern.rows, pattern.rows, positions, inputs // pattern.columns, pattern.columns
        )
        scores = np.sqrt((blocks**2).mean((1, 4)))
        mask = (
            plain(scores, round(budget * ratio * scores.size), tau).repeat(pattern.rows, 0).repeat(pattern.columns, 2)
        )
    else:
        mask = plain(rows, round(budget * ratio * rows.size), tau)
    return AXES.restore(mask, weight.shape)


@pytest.mark.parametrize("tau", [TAU, Temperature(0.05), Temperature(1e-4)])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("shape", [(8, 12), (8, 6, 3, 3)])
def test_masks_are_those_of_the_definition(
    shape: tuple[int, ...], pattern: Pattern, ratio: float, tau: Temperature
) -> None:
    weight = drawn(*shape)
    expected = plain_mask(weight.numpy(), pattern, 0.75, ratio, tau)
    settings = of(pattern, ratio=ratio, tau=tau)
    np.testing.assert_allclose(soft_mask(weight, **settings).numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        soft_masked(weight, **settings).numpy(), expected * weight.numpy(), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_gradients_take_the_threshold_as_a_constant(pattern: Pattern) -> None:
    weight = drawn(8, 6, 2, 2).requires_grad_()
    incoming = drawn(8, 6, 2, 2, seed=1)
    (found,) = torch.autograd.grad(soft_masked(weight, **of(pattern)), weight, incoming)
    step, numeric = 1e-6, torch.zeros_like(weight)
    if isinstance(pattern, NM) and pattern.outputs > 1:  # a threshold a group, and a gradient through the norms
        scores = AXES.rows(weight).reshape(-1, pattern.outputs, 4, 6).square().mean(1).sqrt()
        held = scores.detach().permute(0, 2, 1)  # as a weight, for its thresholds
        tau = AXES.rows(_tau(held.unsqueeze(-1), NM(pattern.keep, pattern.of)))
        short = (
            torch.arange(6) >= 6 - 6 % pattern.of
            if 6 % pattern.of <= pattern.keep
            else torch.zeros(6, dtype=torch.bool)
        )
        mask = torch.where(short, 1, torch.sigmoid((scores**2 - 10 * tau) / tau))
        whole = mask.repeat_interleave(pattern.outputs, 0)
        (numeric,) = torch.autograd.grad(AXES.restore(whole, (8, 6, 2, 2)) * weight, weight, incoming)
    elif isinstance(pattern, Block):  # one threshold, and a gradient through the norms: differences with it held
        rows = AXES.rows(weight)
        blocks = rows.reshape(8 // pattern.rows, pattern.rows, 4, -1, pattern.columns)
        scores = blocks.square().mean((1, 4)).sqrt()
        ordered = scores.detach().flatten().sort().values
        pruned = round(0.75 * scores.numel())
        limit = 0.5 * (ordered[pruned - 1] + ordered[pruned])
        mask = torch.sigmoid((scores**2 - limit**2) / (0.1 * limit**2))
        whole = mask.repeat_interleave(pattern.rows, 0).repeat_interleave(pattern.columns, 2)
        (numeric,) = torch.autograd.grad(AXES.restore(whole, (8, 6, 2, 2)) * weight, weight, incoming)
    else:
        mask = soft_mask(weight, **of(pattern))
        logits = torch.logit(mask)
        squared = weight.detach() ** 2
        slope = torch.zeros_like(mask)
        for sign in (1, -1):
            moved = weight.detach() + sign * step
            tau = _tau(weight.detach(), pattern)
            slope += sign * moved * torch.sigmoid(logits + (moved**2 - squared) / tau)
        numeric = slope / (2 * step) * incoming
    torch.testing.assert_close(found, numeric, rtol=1e-5, atol=1e-7)


def _tau(weight: torch.Tensor, pattern: Pattern) -> torch.Tensor:
    """A tenth of each element's squared threshold, by sorting."""
    rows = AXES.rows(weight).abs()
    if isinstance(pattern, NM):
        groups = rows.reshape(*rows.shape[:2], -1, pattern.of) if rows.shape[-1] % pattern.of == 0 else None
        if groups is None:
            padded = torch.nn.functional.pad(rows, (0, -rows.shape[-1] % pattern.of))
            groups = padded.reshape(*rows.shape[:2], -1, pattern.of)
        ordered = groups.sort(-1, descending=True).values
        limits = 0.5 * (ordered[..., pattern.keep - 1] + ordered[..., pattern.keep])
        wide = limits.repeat_interleave(pattern.of, -1)[..., : rows.shape[-1]]
        limits = AXES.restore(wide, tuple(weight.shape)).clone()
        return 0.1 * torch.where(limits == 0, 1, limits) ** 2
    ordered = rows.flatten().sort().values
    pruned = round(0.75 * rows.numel())
    return 0.1 * (0.5 * (ordered[pruned - 1] + ordered[pruned])) ** 2


def test_the_gradient_beside_the_formula() -> None:
    weight = torch.tensor([[1.0, 2.0, 4.0, 3.0]], dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(soft_masked(weight, **of(budget=0.5, tau=Temperature(0.5))).sum(), weight)
    values = weight.detach().numpy()
    mask = sigmoid((values**2 - 2.5**2) / 0.5)
    np.testing.assert_allclose(gradient.numpy(), mask + 2 * values**2 / 0.5 * mask * (1 - mask), rtol=1e-12)


def test_identities() -> None:
    weight = drawn(40, 30)
    mask = soft_mask(weight, **of())
    assert torch.equal(mask, soft_mask(-weight, **of()))
    order = weight.abs().flatten().argsort()
    assert bool((mask.flatten()[order].diff() >= 0).all())
    assert int((mask > 0.5).sum()) == 1200 - 900
    assert torch.equal(mask > 0.5, hard_mask(weight, pattern=Unstructured(), axes=AXES, budget=0.75))


def test_limits_of_the_temperature() -> None:
    weight = drawn(40, 30)
    keep = hard_mask(weight, pattern=Unstructured(), axes=AXES, budget=0.75)
    torch.testing.assert_close(soft_masked(weight, **of(tau=Temperature(1e-14))), torch.where(keep, weight, 0))
    torch.testing.assert_close(soft_masked(weight, **of(tau=Temperature(1e12))), weight / 2)


def test_scale() -> None:
    weight = drawn(40, 30)
    for scale in (1e-3, 7.0):
        absolute = soft_mask(scale * weight, **of(tau=Temperature(0.3 * scale**2)))
        torch.testing.assert_close(absolute, soft_mask(weight, **of(tau=Temperature(0.3))))
        torch.testing.assert_close(soft_mask(scale * weight, **of()), soft_mask(weight, **of()))


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_where_nothing_goes_the_weight_is_untouched(pattern: Pattern) -> None:
    weight = drawn(8, 12, dtype=torch.float32)
    assert torch.equal(soft_masked(weight, **of(pattern, ratio=0)), weight)
    assert torch.equal(soft_mask(weight, **of(pattern, ratio=0)), torch.ones(8, 12))


@pytest.mark.parametrize("pattern", [Unstructured(), NM(2, 4), Block(4, 1)], ids=str)
def test_weights_of_zero_are_no_trouble(pattern: Pattern) -> None:
    weight = torch.zeros(8, 8, requires_grad=True)
    masked = soft_masked(weight, **of(pattern))
    masked.sum().backward()  # type: ignore[no-untyped-call]
    assert masked.isfinite().all()
    if not isinstance(pattern, Block):  # the norm of a block has no slope at zero
        assert weight.grad is not None
        assert weight.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_masked_in_single(dtype: torch.dtype) -> None:
    weight = (1e-3 * drawn(64, 64)).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        masked = soft_masked(weight, **of())
    assert masked.dtype == dtype
    expected = soft_masked(weight.detach().float(), **of())
    torch.testing.assert_close(masked.float(), expected, rtol=1e-2, atol=1e-7)
    masked.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_memory_formats_give_the_same(pattern: Pattern) -> None:
    weight = drawn(64, 48, 9, 9, dtype=torch.float32)  # several chunks
    last = weight.clone(memory_format=torch.channels_last).requires_grad_()
    first = weight.clone().requires_grad_()
    for each in (first, last):
        soft_masked(each, **of(pattern)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert first.grad is not None
    assert last.grad is not None
    torch.testing.assert_close(first.grad, last.grad)
    if pattern == Unstructured():
        assert soft_masked(last, **of()).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("pattern", PATTERNS[:4], ids=str)
def test_compiled(pattern: Pattern) -> None:
    weight = drawn(8, 12, dtype=torch.float32).requires_grad_()
    compiled = torch.compile(soft_masked, backend="aot_eager")
    (expected,) = torch.autograd.grad(soft_masked(weight, **of(pattern)).square().sum(), weight)
    (found,) = torch.autograd.grad(compiled(weight, **of(pattern)).square().sum(), weight)
    torch.testing.assert_close(found, expected)


def test_nothing_of_the_mask_is_kept_for_the_backward_pass() -> None:
    weight = drawn(256, 256, dtype=torch.float32).requires_grad_()
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        soft_masked(weight, **of())
    assert sorted(kept) == [1, 1, 256 * 256]  # two scalars and the weight itself


def test_channels_share_one_mask_over_their_group() -> None:
    first, second = drawn(6, 3, 2, 2).requires_grad_(), drawn(4, 9).requires_grad_()
    scores = channel_scores([first.flatten(1), second[:, 3:9].T])
    parts = [first.detach().numpy().reshape(6, -1), second.detach().numpy()[:, 3:].T]
    expected = np.sqrt((np.concatenate(parts, 1) ** 2).mean(1))
    np.testing.assert_allclose(scores.detach().numpy(), expected, rtol=1e-12)
    mask = channel_mask(scores, budget=0.5, ratio=1, temperature=TAU)
    np.testing.assert_allclose(mask.detach().numpy(), plain(expected, 3, TAU), rtol=1e-9)
    mask.sum().backward()  # type: ignore[no-untyped-call]
    assert first.grad is not None
    assert second.grad is not None
    assert bool((second.grad[:, :3] == 0).all())


def test_a_channel_of_zeros_has_a_gradient_of_zeros() -> None:
    weight = drawn(6, 9)
    weight[2] = 0
    weight.requires_grad_()
    mask = channel_mask(channel_scores([weight]), budget=0.5, ratio=1, temperature=TAU)
    (gradient,) = torch.autograd.grad(mask.sum(), weight)
    assert bool(gradient.isfinite().all())
    assert bool((gradient[2] == 0).all())
    assert bool(gradient.any())


def test_a_hard_mask_of_nan_is_refused() -> None:
    with pytest.raises(RecipeError, match="GP323"):
        hard_mask(torch.full((4, 4), torch.nan), pattern=Unstructured(), axes=AXES, budget=0.5)
