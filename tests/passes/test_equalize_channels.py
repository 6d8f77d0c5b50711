"""Scales of channels: what is equal afterwards, and that no bit of the function changes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.scalable import scalable_channels
from graphprune.errors import InputError
from graphprune.passes.base import run_pass
from graphprune.passes.equalize_channels import EqualizeChannels
from graphprune.testing.check_pass import check_pass
from tests.backends.tvm.graphs import Initializer, parse, pruned

RNG = np.random.default_rng(0)
SPREAD = np.exp2(RNG.uniform(-9, 9, 8)).astype(np.float32)
"""Scales of channels far from each other."""

PLANES = """g (float[1,4,6,6] x) => (float[1,4,4,4] y) {
    h = Conv(x,w,b) a = PRelu(h,slope) c = Conv<group=8,pads=[1,1,1,1]>(a,d) r = Relu(c) y = Conv(r,v) }"""
ROWS = """g (float[2,3,8] x) => (float[2,3,12] y) {
    n = LayerNormalization(x,scale,shift) q = MatMul(n,query) k = MatMul(n,key)
    p = Mul(q,k) y = Concat<axis=2>(p,q) }"""
MODELS: dict[str, tuple[str, dict[str, Initializer]]] = {
    "convolutions": (
        PLANES,
        {
            "w": pruned(8, 4, 3, 3) * SPREAD.reshape(8, 1, 1, 1),
            "b": (8,),
            "slope": (8, 1, 1),
            "d": (8, 1, 3, 3),
            "v": pruned(4, 8, 1, 1, zeros=0.3),
        },
    ),
    "a norm of two readers": (ROWS, {"scale": SPREAD, "shift": (8,), "query": (8, 6), "key": (8, 6)}),
}


def array(model: ir.Model, name: str) -> np.ndarray:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


@pytest.mark.parametrize(("text", "initializers"), MODELS.values(), ids=MODELS)
def test_ranges_are_equal_and_the_function_stays(text: str, initializers: dict[str, Initializer]) -> None:
    model = parse(text, initializers)
    result = check_pass(EqualizeChannels(), model)
    assert result.changed
    for site in scalable_channels(result.model)[0]:
        makes = site.makers[0].largest(array(result.model, str(site.makers[0].value.name)))
        reads = np.max([each.largest(array(result.model, str(each.value.name))) for each in site.readers], axis=0)
        used = (makes > 0) & (reads > 0)
        assert used.any()
        assert np.abs(np.log2(makes[used] / reads[used])).max() <= 1 + 1e-6


def test_zeros_stay_and_nothing_else_becomes_zero() -> None:
    model = parse(*MODELS["convolutions"])
    after = run_pass(EqualizeChannels(), model).model
    for name in ("w", "v"):
        np.testing.assert_array_equal(array(after, name) == 0, array(model, name) == 0)


def test_channels_that_nothing_makes_or_reads_stay() -> None:
    first, second = np.ones((3, 4, 1, 1), np.float32), np.full((2, 3, 1, 1), 16, np.float32)
    first[0], second[:, 1] = 0, 0
    text = "g (float[1,4,2,2] x) => (float[1,2,2,2] y) { h = Conv(x,w) y = Conv(h,v) }"
    after = run_pass(EqualizeChannels(), parse(text, {"w": first, "v": second})).model
    assert array(after, "w")[:, 0, 0, 0].tolist() == [0, 1, 4]
    assert array(after, "v")[0, :, 0, 0].tolist() == [16, 0, 4]


def test_gains_say_how_large_activations_are() -> None:
    """Equation 4 of SmoothQuant at an alpha of one half: sqrt(X / W), X a gain times what makes the channel."""
    text = "g (float[2,4] x) => (float[2,2] y) { n = LayerNormalization(x,scale) y = MatMul(n,w) }"
    scale, weight = np.array([1, 1, 4, 1], np.float32), np.ones((4, 2), np.float32)
    pass_ = EqualizeChannels((("n", (64.0, 1.0, 16.0, 0.0)),))
    after = check_pass(pass_, parse(text, {"scale": scale, "w": weight})).model
    assert array(after, "scale").tolist() == [1 / 8, 1, 4 / 8, 1]
    assert array(after, "w")[:, 0].tolist() == [8, 1, 8, 1]


def test_pruned_tensors_of_the_input_are_left_alone() -> None:
    model = parse(*MODELS["convolutions"])
    before = array(model, "w").copy()
    run_pass(EqualizeChannels(), model)
    np.testing.assert_array_equal(array(model, "w"), before)


@pytest.mark.parametrize("gain", [(1.0,), (1.0,) * 7 + (float("inf"),), (1.0,) * 7 + (-1.0,)])
def test_gains_fit(gain: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"'h' has \d gains, expected 8 finite ones of at least 0 \[GP356\]"):
        run_pass(EqualizeChannels((("h", gain),)), parse(*MODELS["convolutions"]))
