"""Bytes of a padded plane in words of 32 bits, each of which holds neighbouring taps of a window at one position.

A depthwise convolution has no channels to sum over, so it is taps that share a word: those of neighbouring rows, or of
neighbouring columns. Where a word holds fewer taps than others, the weight of the missing ones is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import Expr, Machine, bind, loop, store
from graphprune.backends.tvm.kernels.dot import DOTS
from graphprune.backends.tvm.kernels.elements import Elements
from graphprune.backends.tvm.kernels.pad import Indices, PaddedPlanes
from graphprune.backends.tvm.kernels.words import shift_of, weight_words


@dataclass(frozen=True)
class TapWords:
    """The taps of a window in words.

    Attributes:
        elements: What a word is.
        taps: Numbers of the taps [tap along an axis, others]; a word holds neighbours along the first of these axes.
        offsets: Where each word that is multiplied lies from the output's position, [words].
        parts: Where each byte of a word lies from the place of the word.
        count: Words of a plane, up to the last one that is multiplied.
    """

    elements: Elements
    taps: Indices
    offsets: Indices
    parts: tuple[int, ...]
    count: int

    def weight(self, weight: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
        """The words [outputs, words] of a weight [outputs, taps]."""
        return weight_words(weight[:, self.taps], self.elements).reshape(len(weight), -1)


def tap_words(layout: PaddedPlanes, elements: Elements) -> TapWords:
    """The fewest words that hold the taps of this window; of as many, those of which a plane has fewer."""
    taps = np.arange(len(layout.tap_offsets()), dtype=np.int32).reshape(layout.window.kernel)
    single = taps.reshape(1, -1)  # each in a word of its own, which every window allows
    found = [_words(layout, each, elements) for each in (taps.T, taps, single) if _is_even(layout, each, elements)]
    return min(found, key=lambda words: (len(words.offsets), words.count))


def _words(layout: PaddedPlanes, taps: Indices, elements: Elements) -> TapWords:
    places = layout.tap_offsets()[taps]
    offsets = places[:: elements.channels].ravel()
    count = int(offsets.max()) + (layout.output[0] - 1) * layout.pitch + layout.output[1]
    parts = [int(place) for place in places[: elements.channels, 0] - places[0, 0]]
    missing = elements.channels - len(parts)
    return TapWords(elements, taps, offsets, (*parts, *[0] * missing), count)


def _is_even(layout: PaddedPlanes, taps: Indices, elements: Elements) -> bool:
    """Whether the taps of all words lie alike: those that strides put in other phases do not."""
    places = layout.tap_offsets()[taps]
    words = [places[first : first + elements.channels] for first in range(0, len(places), elements.channels)]
    return all(bool((word - word[0] == (words[0] - words[0][0])[: len(word)]).all()) for word in words)


def emit_words(machine: Machine, words: TapWords, source: Expr, target: Expr, start: Expr) -> None:
    """Put the words of a padded plane of bytes, `source[start:]`, in `target[start:]`, whole vectors of them."""
    width, dot, shift = machine.lanes, DOTS[words.elements.dot], shift_of(words.elements, source.dtype)
    order = [tirx.IntImm("int32", part * width + i) for i in range(width) for part in range(len(words.parts))]
    with loop(-(-words.count // width)) as block:
        at = bind(start + block * width)
        loads = [source[T.ramp(at + part, 1, width)] for part in words.parts]
        x = tirx.Shuffle(loads, order)
        if shift:
            x = tirx.Cast(f"int16x{len(order)}", x) + T.broadcast(tirx.const(shift, "int16"), len(order))
        x = tirx.Cast(f"{dot.x}x{len(order)}", x)
        store(target, T.ramp(at, 1, width), tirx.reinterpret(f"{words.elements.inputs}x{width}", x))
