"""The epilogue of a kernel: what is done with each sum before it is stored."""

from __future__ import annotations

from collections.abc import Callable

from graphprune.backends.tvm.kernels.builder import Expr, Kernel

Position = tuple[Expr, Expr, Expr]
"""(image, channel, position in the plane) of one output element."""

Epilogue = Callable[[Kernel, Expr, Position], Expr]
"""Maps the raw sum of an output element to its final value; may load other operands."""


def no_epilogue(_kernel: Kernel, value: Expr, _position: Position) -> Expr:
    """The sum itself."""
    return value
