"""How large channels become on samples, and what equalizing them by that gains."""

from __future__ import annotations

import numpy as np

import graphprune as gp
from graphprune.calibration.gains import channel_gains
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(0)
TEXT = """g (float[n,4] x) => (float[n,3] y) {
    h = MatMul(x,w) a = Relu(h) c = MatMul(a,v) d = MatMul(a,u) y = Add(c,d) }"""


def test_gains_are_of_what_is_multiplied() -> None:
    weight = np.array([[1, -2, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    model = parse(TEXT, {"w": weight, "v": (3, 3), "u": (3, 3)})
    feeds = [{"x": np.array([[value, 9, 9, 9]], np.float32)} for value in (3, 5, -1)]
    assert channel_gains(model, feeds) == (("h", (5.0, 1.0, 0.0)),)


def test_nothing_to_scale() -> None:
    assert channel_gains(parse("g (float[n,4] x) => (float[n,4] y) { y = Neg(x) }"), []) == ()


def test_outlier_channels_of_a_norm_move_into_the_weights() -> None:
    """Two channels of a hundred times the others' size, as transformers have, take all of the integers."""
    text = "g (float[n,64] x) => (float[n,16] y) { h = LayerNormalization(x,scale) y = MatMul(h,w) }"
    scale = np.where(np.arange(64) < 2, 100, 1).astype(np.float32)
    weight = (RNG.standard_normal((64, 16)) / scale[:, None]).astype(np.float32)
    model = parse(text, {"scale": scale, "w": weight})
    samples = [{"x": RNG.standard_normal((32, 64)).astype(np.float32)}]
    plain, repaired = (gp.quantize(model, samples, repair=repair) for repair in (False, True))
    assert [each.rule for each in repaired.repairs] == ["equalize"]
    assert repaired.errors["y"] < plain.errors["y"] / 10
