from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphprune.backends.tvm.kernels.dot import DOTS, PAIRS, QUADS
from graphprune.backends.tvm.kernels.elements import Elements
from graphprune.backends.tvm.kernels.view import View
from graphprune.backends.tvm.kernels.words import (
    filled_word,
    shift_of,
    small_weights,
    weight_words,
    word_function,
)
from tests.backends.tvm.kernels.harness import V3, Array, run

ELEMENTS = [pytest.param(PAIRS, id="pairs"), pytest.param(QUADS, id="quads")]
POSITIONS = 21


def channels_of(words: Array, kind: str) -> Array:
    """The channels that words [..., words] hold, [..., words, channels]."""
    return np.ascontiguousarray(words)[..., None].view(kind).astype(np.int64)


@pytest.mark.parametrize("elements", ELEMENTS)
@pytest.mark.parametrize("inputs", range(1, 10))
def test_weights_in_words(elements: Elements, inputs: int) -> None:
    weight = np.random.default_rng(0).integers(-128, 128, (3, inputs, 2)).astype(np.int8)
    words = weight_words(weight, elements)
    assert (words.dtype.name, words.shape) == ("int32", (3, -(-inputs // elements.channels), 2))
    found = channels_of(words.transpose(0, 2, 1), DOTS[elements.dot].weight).reshape(3, 2, -1)
    np.testing.assert_array_equal(found[..., :inputs].transpose(0, 2, 1), weight)
    assert not found[..., inputs:].any()


LAYOUTS = {"channels first": (0, 1), "channels last": (1, 0)}


@pytest.mark.parametrize("elements", ELEMENTS)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(("channels", "layout"), list(itertools.product([3, 11], LAYOUTS)))
def test_activations_in_words(elements: Elements, dtype: str, channels: int, layout: str) -> None:
    limits = np.iinfo(dtype)
    x = np.random.default_rng(1).integers(limits.min, limits.max + 1, (channels, POSITIONS)).astype(dtype)
    x[0, :2] = limits.min, limits.max
    view = View.dense(None, dtype, x.shape, LAYOUTS[layout])
    count = -(-channels // elements.channels)
    words = View.dense(None, "int32", (count, POSITIONS))
    flat = np.ascontiguousarray(x.transpose(LAYOUTS[layout])).reshape(-1)
    found = run(word_function(V3, view, 0, elements, words), V3, [flat], words.size, "int32")
    own = channels_of(found.reshape(count, POSITIONS).T, DOTS[elements.dot].x)
    shifted = x.astype(np.int64) + shift_of(elements, dtype)
    np.testing.assert_array_equal(own.reshape(POSITIONS, -1)[:, :channels].T, shifted)


def test_signed_bytes_are_shifted_where_the_instruction_takes_unsigned_ones() -> None:
    shifts = {(e.channels, dtype): shift_of(e, dtype) for e in (PAIRS, QUADS) for dtype in ("uint8", "int8")}
    assert shifts == {(2, "uint8"): 0, (2, "int8"): 0, (4, "uint8"): 0, (4, "int8"): 128}


@pytest.mark.parametrize(("elements", "value"), [(PAIRS, 255), (PAIRS, -128), (PAIRS, 0), (QUADS, 255), (QUADS, 7)])
def test_a_word_of_one_value(elements: Elements, value: int) -> None:
    word = np.array([filled_word(elements, value)], np.int32)
    np.testing.assert_array_equal(channels_of(word, DOTS[elements.dot].x)[0], value)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_small_weights_are_the_same_in_two_parts(channels: int) -> None:
    weight = np.random.default_rng(0).integers(-128, 128, (5, channels, 3)).astype(np.int8)
    weight[0] = -128
    small = small_weights(weight)
    parts = small.reshape(5, channels, -1, 3)
    np.testing.assert_array_equal(parts.sum(axis=2, dtype=np.int64), weight)
    pairs = np.abs(np.pad(small, ((0, 0), (0, channels % 2), (0, 0))).astype(int))
    assert (pairs[:, ::2] + pairs[:, 1::2]).max() <= 128


def test_weights_that_are_small_stay_one_part() -> None:
    weight = np.full((2, 4, 3), 64, np.int8)
    np.testing.assert_array_equal(small_weights(weight), weight)
