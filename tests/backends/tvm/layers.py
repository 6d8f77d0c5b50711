"""Single layers: a convolution or a product, its numbers, and the element-wise nodes behind it.

Most hold small integers, of which float32 holds every sum whatever its order: a result is then right to the last bit,
or wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from graphprune.masks.axes import WeightAxes

Shape = tuple[int, ...]

LARGEST = 4
"""Integers go from minus this to this."""

ROUNDED = {"sigmoid", "tanh", "swish"}


@dataclass(frozen=True)
class Zeros:
    """Where a weight is zero.

    Attributes:
        share: How many of the blocks are zero, in [0, 1].
        block: How many neighbouring outputs and inputs make a block.
        groups: Instead of a share: how many stay of how many neighbouring inputs, the same for all outputs of a block.
        empty: The share of outputs that are zero altogether.
        full: The share of outputs without zeros.
    """

    share: float = 0.0
    block: tuple[int, int] = (1, 1)
    groups: tuple[int, int] | None = None
    empty: float = 0.0
    full: float = 0.0

    def mask(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
        """What is not zero, [outputs, taps, inputs]."""
        outputs, taps, inputs = shape
        tall, wide = self.block[0], self.groups[1] if self.groups else self.block[1]
        scores = rng.random((-(-outputs // tall), taps, -(-inputs // wide), wide))
        kept = scores.argsort(axis=3) < self.groups[0] if self.groups else scores[..., :1].repeat(wide, 3) >= self.share
        mask: np.ndarray = kept.reshape(*kept.shape[:2], -1).repeat(tall, axis=0)[:outputs, :, :inputs]
        mask[rng.random(outputs) < self.empty] = False
        mask[rng.random(outputs) < self.full] = True
        return mask


@dataclass(frozen=True)
class Bytes:
    """How a layer computes with integers of 8 bits; scales are powers of two, so that float32 holds all results.

    Attributes:
        x: The element type of its input.
        x_zero: The zero point of that.
        by_output: Whether each output has a scale of its own.
        y_exponent: The scale of its output is two to this power.
        y_zero: The zero point of its output, an unsigned byte.
    """

    x: str = "uint8"
    x_zero: int = 0
    by_output: bool = True
    y_exponent: int = 0
    y_zero: int = 0


BYTES_PER_INTEGER = 7
"""What a small integer of a weight is multiplied by, to fill more of a byte."""


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        op: `Conv`, `MatMul` or `Gemm`.
        x: The shape of its input.
        weight: The shape of its second operand.
        y: The shape of its output.
        zeros: Where the weight is zero; None for a second operand that is an input too.
        attributes: ONNX's.
        bias: The shape of its third operand, if it has one.
        tail: The nodes behind it, by the names that `LayerGraph.follow` knows.
        integers: Whether all numbers are small integers; normally distributed ones otherwise.
        seed: Decides on all numbers.
        bytes: How it is quantized, if it is; such a layer has a constant weight, and small integers.
    """

    op: str
    x: Shape
    weight: Shape
    y: Shape
    zeros: Zeros | None = None
    attributes: dict[str, float | list[int]] = field(default_factory=dict)
    bias: Shape | None = None
    tail: tuple[str, ...] = ()
    integers: bool = True
    seed: int = 0
    bytes: Bytes | None = None

    @property
    def is_exact(self) -> bool:
        """Whether no result depends on the order of additions, or on how a function is computed."""
        return self.integers and not ROUNDED.intersection(self.tail)

    @property
    def channel_shape(self) -> Shape:
        """The shape of one number for each output channel, as it broadcasts to the output."""
        return (self.y[1], *[1] * (len(self.y) - 2)) if self.op == "Conv" else self.y[-1:]

    @property
    def turned(self) -> tuple[int, ...]:
        """The order of axes that makes the output's of one that has channels at the other end."""
        rank = len(self.y)
        return (0, rank - 1, *range(1, rank - 1)) if self.op == "Conv" else (*range(rank - 2), rank - 1, rank - 2)

    def numbers(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        """Random numbers of the kind that the layer is given."""
        drawn = rng.integers(-LARGEST, LARGEST + 1, shape) if self.integers else rng.standard_normal(shape)
        return drawn.astype(np.float32)

    def weights(self, rng: np.random.Generator) -> np.ndarray:
        """The constant weight, scaled so that sums of normal numbers are no larger than these."""
        assert self.zeros is not None
        inputs_first = self.op == "MatMul" or (self.op == "Gemm" and not self.attributes.get("transB"))
        axes = WeightAxes(1, 0) if inputs_first else WeightAxes()
        shape = axes.rows_shape(self.weight)
        drawn = self.numbers(rng, self.weight)
        drawn = np.where(drawn == 0, 1, drawn) if self.integers else drawn / math.sqrt(math.prod(shape[1:]))
        return np.where(axes.restore(self.zeros.mask(rng, shape), self.weight), drawn, 0).astype(np.float32)
