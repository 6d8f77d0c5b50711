"""Bytes in words of 32 bits, as products of integers take them: neighbouring input channels of one position together.

Where the last word has fewer channels than others, the weight of the missing ones is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tvm import tirx

from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, Machine, build_function
from graphprune.backends.tvm.kernels.dot import DOTS, WORD_BITS
from graphprune.backends.tvm.kernels.elements import Elements
from graphprune.backends.tvm.kernels.elementwise import emit_elementwise
from graphprune.backends.tvm.kernels.view import View

_HALF_RANGE = 128


def weight_words(weight: npt.NDArray[np.int8], elements: Elements) -> npt.NDArray[np.int32]:
    """The words [outputs, words, taps] of a weight [outputs, channels, taps]."""
    missing = -weight.shape[1] % elements.channels
    wide = np.pad(weight, ((0, 0), (0, missing), (0, 0))).astype(DOTS[elements.dot].weight)
    outputs, channels, taps = wide.shape
    parts = wide.reshape(outputs, channels // elements.channels, elements.channels, taps).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(parts).view(np.int32)[..., 0]


def small_weights(weight: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """A weight [outputs, channels, taps] as one of which `SMALL_QUADS` sums no two that are too large together.

    What is taken out comes as more taps, which read the same inputs: [outputs, channels, 2 * taps].
    """
    missing = weight.shape[1] % 2
    pairs = np.pad(weight, ((0, 0), (0, missing), (0, 0))).astype(np.int16)
    sizes = np.abs(pairs)
    second, rest = pairs[:, 1::2], np.zeros_like(pairs)
    too_large = sizes[:, ::2] + sizes[:, 1::2] > _HALF_RANGE
    rest[:, 1::2] = np.where(too_large, second, 0)
    parts = [pairs - rest, rest] if too_large.any() else [pairs]
    return np.concatenate(parts, axis=2)[:, : weight.shape[1]].astype(np.int8)


def shift_of(elements: Elements, dtype: str) -> int:
    """What is added to activations of this type, so that they are what the instruction takes."""
    return _HALF_RANGE if dtype == "int8" and elements.dot and DOTS[elements.dot].x.startswith("u") else 0


def filled_word(elements: Elements, value: int) -> int:
    """A word each of whose channels is `value`."""
    bits = WORD_BITS // elements.channels
    word = sum((value & ((1 << bits) - 1)) << (bits * number) for number in range(elements.channels))
    return int(np.uint32(word).view(np.int32))


def word_function(machine: Machine, x: View, axis: int, elements: Elements, words: View) -> Expr:
    """The TIR function (x, y) that puts the channels of `x`, which lie along `axis`, in the words of view `words`."""
    whole, rest = divmod(x.shape[axis], elements.channels)

    def body(kernel: Kernel) -> None:
        def emit(first: int, count: int, channels: int) -> None:
            parts = [
                x.slice(axis, first * elements.channels + number, count, elements.channels)
                for number in range(channels)
            ]
            section, shift = words.slice(axis, first, count), shift_of(elements, x.dtype)
            buffers = [kernel["x"]] * channels
            emit_elementwise(
                machine, buffers, parts, kernel["y"], section, lambda loads: _joined(loads, elements, shift)
            )

        if whole:
            emit(0, whole, elements.channels)
        if rest:
            emit(whole, 1, rest)

    return build_function("words", [Flat("x", x.size, x.dtype), Flat("y", words.size, words.dtype)], body)


def _joined(loads: Sequence[Expr], elements: Elements, shift: int) -> Expr:
    """One element of each channel, a byte, as a word; where a channel is an element by itself, as that."""
    if not elements.dot:
        return loads[0].astype(elements.inputs)
    bits = WORD_BITS // elements.channels
    parts = [load.astype("int32") + shift if shift else load.astype("int32") for load in loads]
    own = [tirx.bitwise_and(part, tirx.const((1 << bits) - 1, "int32")) for part in parts]  # without the sign's copies
    word = own[0]
    for number, part in enumerate(own[1:], 1):
        word = tirx.bitwise_or(word, tirx.shift_left(part, tirx.const(bits * number, "int32")))
    return word
