"""What a sliding window does with the elements that it covers: the largest of them, their sum, or one by a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Kernel, constant
from graphprune.backends.tvm.kernels.dot import multiply_and_add
from graphprune.backends.tvm.kernels.pad import Indices, PaddedPlanes
from graphprune.backends.tvm.kernels.tap_words import TapWords

Combine = Callable[[Kernel, Expr, Expr, Expr, Expr], Expr]
"""(kernel, output channel, tap, total so far or None, element) -> new total."""


@dataclass(frozen=True)
class Sliding:
    """A window's sum: `fill` outside the input, `combine` over the taps, `multiplier` outputs an input channel.

    Where there are `words`, bytes are put in these, and they are what is combined.
    """

    fill: float
    combine: Combine
    multiplier: int = 1
    words: TapWords | None = None

    def offsets(self, layout: PaddedPlanes) -> Indices:
        """Where what is combined lies from the output's position."""
        return layout.tap_offsets() if self.words is None else self.words.offsets

    def sums(self, dtype: str) -> str:
        """The type of what is combined, and of the sums, for inputs of this type."""
        return dtype if self.words is None else self.words.elements.sums


def weighted(taps: int, multiplier: int) -> Sliding:
    """Depthwise convolution with the operand `weight` [output channels][taps]."""

    def combine(kernel: Kernel, channel: Expr, tap: Expr, total: Expr, element: Expr) -> Expr:
        product = kernel["weight"][channel * taps + tap] * element
        return product if total is None else total + product

    return Sliding(0.0, combine, multiplier)


def weighted_words(words: TapWords, fill: int, multiplier: int) -> Sliding:
    """Depthwise convolution of bytes, `fill` around them, with the operand `weight` [output channels][words]."""

    def combine(kernel: Kernel, channel: Expr, tap: Expr, total: Expr, element: Expr) -> Expr:
        weight = kernel["weight"][channel * len(words.offsets) + tap]
        return multiply_and_add(words.elements, constant(0, "int32") if total is None else total, weight, element)

    return Sliding(fill, combine, multiplier, words)


SUM = Sliding(0.0, lambda _kernel, _channel, _tap, total, x: x if total is None else total + x)


def maximum(dtype: str) -> Sliding:
    """The largest element, of this type."""
    lowest = float("-inf") if dtype.startswith("float") else tirx.min_value(dtype).value
    return Sliding(lowest, lambda _kernel, _channel, _tap, total, x: x if total is None else tirx.max(total, x))
