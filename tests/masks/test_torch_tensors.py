"""Tensors wide enough, flat in the order of memory, and in chunks."""

from __future__ import annotations

import pytest
import torch

from graphprune.masks.torch_tensors import chunks, flat, is_transformed, wide


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_computed_in_single(dtype: torch.dtype, expected: torch.dtype) -> None:
    assert wide(torch.zeros(2, dtype=dtype)).dtype == expected


def test_elements_are_in_the_order_of_memory() -> None:
    memory = torch.arange(24.0)
    dense = memory.view(2, 3, 4)
    for tensor in (dense, dense.permute(2, 0, 1), dense.transpose(0, 2), memory.view(1, 24), memory[:1].view(())):
        assert torch.equal(flat(tensor), memory[: tensor.numel()])
        assert flat(tensor).data_ptr() == memory.data_ptr()
    assert torch.equal(flat(dense[:, ::2]), dense[:, ::2].reshape(-1))


def test_chunks_are_views_that_are_all_of_it() -> None:
    tensor = torch.arange(300_000.0)
    parts = chunks(tensor)
    assert len(parts) > 1
    assert torch.equal(torch.cat(parts), tensor)
    assert parts[0].data_ptr() == tensor.data_ptr()
    (whole,) = chunks(torch.zeros(300_000, device="meta"))
    assert whole.numel() == 300_000


def test_transforms_are_noticed() -> None:
    assert not is_transformed()
    assert torch.vmap(lambda x: x + is_transformed())(torch.zeros(2)).tolist() == [1, 1]
