"""Models on integers, from samples, in Python."""

from __future__ import annotations

import numpy as np
import pytest

import graphprune as gp
from graphprune.calibration.ranges import calibrate
from graphprune.calibration.repairs import equalized, repaired
from graphprune.calibration.trial import Trial
from graphprune.errors import InputError, PreconditionError
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from tests.backends.tvm.graphs import Initializer, parse, pruned

TEXT = "g (float[{0},6] x, float[{1},6] z) => (float[?,5] y) {{ s = Add(x,z) [product] y = MatMul(s,w) }}"
WEIGHT: dict[str, Initializer] = {"w": pruned(6, 5)}
STACK = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("extents", "samples"),
    [(("n", "n"), 4), (("?", "?"), 4), (("1", "1"), 4), (("n", "m"), 1), (("4", "4"), 1)],
    ids=["an open batch", "without a name", "stacked", "two extents that are open", "one sample of four rows"],
)
def test_samples_one_by_one(extents: tuple[str, str], samples: int) -> None:
    seen: list[int] = []
    model = parse(TEXT.format(*extents), WEIGHT)
    result = gp.quantize(model, [{"x": STACK, "z": STACK / 2}], on_sample=seen.append)
    assert (result.samples, seen) == (samples, list(range(1, samples + 1)))
    assert 0 < result.errors["y"] < 0.02


def test_as_many_samples_as_asked_for() -> None:
    model = parse(TEXT.format("n", "n"), WEIGHT)
    assert gp.quantize(model, [{"x": STACK, "z": STACK}] * 3, most_samples=5).samples == 5


def test_the_model_stays_as_it_was() -> None:
    model = parse(TEXT.format("n", "n"), WEIGHT)
    before = [node.op_type for node in model.graph]
    result = gp.quantize(model, [{"x": STACK, "z": STACK}])
    assert [node.op_type for node in model.graph] == before
    assert [node.op_type for node in result.model.graph].count("QuantizeLinear") == 1


def test_all_in_float32_is_no_error() -> None:
    result = gp.quantize(parse(TEXT.format("n", "n"), WEIGHT), [{"x": STACK, "z": STACK}], keep=["product"])
    assert result.errors == {"y": 0.0}
    assert [str(skip) for skip in result.skips] == ["product: stays as it is, as asked for [GP392]"]


def test_outputs_that_are_no_numbers_have_no_error() -> None:
    text = "g (float[n,6] x, float[n,6] z) => (float[n,5] y, bool[n,5] b) { y = MatMul(x,w) b = Greater(y,y) }"
    result = gp.quantize(parse(text, WEIGHT), [{"x": STACK, "z": STACK[:1].repeat(4, 0)}])
    assert list(result.errors) == ["y"]


def test_unnamed_extents_that_differ_are_one_sample() -> None:
    text = """g (float[?,6] x, float[?,6] z) => (float[?,5] y) {
        s = ReduceSum<keepdims=1>(z,a) t = Add(x,s) y = MatMul(t,w) }"""
    model = parse(text, WEIGHT | {"a": np.array([0])})
    assert gp.quantize(model, [{"x": STACK, "z": STACK[:3]}]).samples == 1


def test_no_samples() -> None:
    with pytest.raises(InputError, match=r"hold no sample, expected at least one \[GP567\]"):
        gp.quantize(parse(TEXT.format("n", "n"), WEIGHT), [])


def test_packed_models_are_refused() -> None:
    model = run_pass(PackWeights(), parse(TEXT.format("n", "n"), WEIGHT)).model
    with pytest.raises(PreconditionError, match=r"stage packed, expected dense or sparse \[GP255\]"):
        gp.quantize(model, [{"x": STACK, "z": STACK}])


def test_biases_are_corrected_where_the_error_falls() -> None:
    """Inputs above zero multiply weights whose rounding adds up."""
    text = "g (float[n,6] x) => (float[n,5] y) { h = MatMul(x,w) y = Add(h,b) }"
    model = parse(text, {"w": (6, 5), "b": (5,)})
    samples = [{"x": np.random.default_rng(0).uniform(3, 4, (64, 6)).astype(np.float32)}]
    plain, repaired = (gp.quantize(model, samples, repair=repair) for repair in (False, True))
    assert plain.repairs == ()
    assert [str(each) for each in repaired.repairs] == ["correct-bias: MatMul_0: 5 channels shifted"]
    assert repaired.errors["y"] < 0.7 * plain.errors["y"]


def test_repairs_that_do_not_help_are_left_out() -> None:
    """Weights that integers hold exactly lose nothing."""
    model = parse(
        "g (float[n,6] x) => (float[n,6] y) { h = MatMul(x,w) y = Add(h,b) }",
        {"w": np.eye(6, dtype=np.float32), "b": (6,)},
    )
    result = gp.quantize(model, [{"x": STACK}])
    assert result.errors["y"] > 0
    assert result.repairs == ()


def test_nodes_without_names_can_stay() -> None:
    """By the name that the result calls them."""
    model = parse("g (float[n,6] x) => (float[n,5] y) { y = MatMul(x,w) }", WEIGHT)
    (node,) = [each.node for each in gp.quantize(model, [{"x": STACK}]).rewrites]
    assert gp.quantize(model, [{"x": STACK}], keep=[node]).errors == {"y": 0.0}
    assert gp.quantize(model, [{"x": STACK}], max_error=0).errors == {"y": 0.0}


def test_scales_that_gain_little_are_left_alone() -> None:
    """Three hundredths of the error, on these samples."""
    text = "g (float[n,16] x) => (float[n,8] y) { h = LayerNormalization(x,scale) [p] y = MatMul(h,w) }"
    rng = np.random.default_rng(2)
    scale = np.where(np.arange(16) < 8, 3, 1).astype(np.float32)
    model = parse(text, {"scale": scale, "w": rng.standard_normal((16, 8)).astype(np.float32)})
    feeds = [{"x": row[None]} for row in rng.standard_normal((32, 16)).astype(np.float32)]
    plain = Trial(model, model, calibrate(model, feeds), feeds, "minmax").without(())
    assert 0.9 < equalized(plain).without(()).error / plain.error < 1
    assert repaired(plain) is plain
