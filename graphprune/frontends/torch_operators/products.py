"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def gemm(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's name
    transB: int = 0,  # noqa: N803
) -> torch.Tensor:
    """ONNX Gemm."""
    product = (a.T if transA else a) @ (b.T if transB else b)
    product = product if alpha == 1 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1 else beta * c)


def determinant(x: torch.Tensor) -> torch.Tensor:
    """ONNX Det; of halves in float32, because torch has no kernel of its own."""
    wide = x.float() if x.dtype in {torch.float16, torch.bfloat16} else x
    found: torch.Tensor = torch.linalg.det(wide)
    return found.to(x.dtype)


def einsum(*operands: torch.Tensor, equation: str) -> torch.Tensor:
    """ONNX Einsum."""
    return torch.einsum(equation, *operands)


TABLE: dict[str, Callable[..., Any]] = {
    "Det": determinant,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": torch.matmul,
}
