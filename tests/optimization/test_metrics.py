"""How good models are."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed
from graphprune.errors import InputError
from graphprune.optimization.metrics import Agreement, ByFunction, Closeness, metric_for
from graphprune_runtime.interface import Session
from tests.backends.tvm.graphs import parse

RNG = np.random.default_rng(0)
W = RNG.standard_normal((8, 5)).astype(np.float32)
FEEDS: list[Feed] = [{"x": RNG.standard_normal((1, 8)).astype(np.float32)} for _ in range(30)]
X = np.concatenate([feed["x"] for feed in FEEDS])


def product(weight: np.ndarray) -> ir.Model:
    return parse("g (float[1,8] x) => (float[1,5] y) { y = MatMul(x,w) }", {"w": weight})


def of(metric: str | None, weight: np.ndarray) -> float:
    return metric_for(product(W), FEEDS, metric).of(session_for(product(weight)))


def test_agreement_is_the_share_of_equal_answers() -> None:
    other = W + RNG.standard_normal(W.shape).astype(np.float32)
    expected = np.mean((X @ other).argmax(1) == (X @ W).argmax(1))
    assert 0.2 < expected < 0.9
    assert of("agreement", other) == pytest.approx(expected)
    assert of("agreement", W) == 1


def test_agreement_counts_each_position() -> None:
    text = "g (float[1,8] x) => (float[1,2,4] y) { s = Constant<value_ints=[1,2,4]>() y = Reshape(x,s) }"
    model, other = (
        parse(text),
        parse(text.replace("y = Resh", "z = Neg(x) y = Resh").replace("Reshape(x,", "Reshape(z,")),
    )
    tops = X.reshape(30, 2, 4)
    expected = np.mean(tops.argmax(-1) == (-tops).argmax(-1))
    assert metric_for(model, FEEDS, "agreement").of(session_for(other)) == pytest.approx(expected)


def test_closeness_is_one_less_the_relative_error() -> None:
    assert of("closeness", 1.25 * W) == pytest.approx(0.75, rel=1e-5)
    assert of("closeness", -W) == pytest.approx(-1, rel=1e-5)
    assert of("closeness", W) == 1


def test_outputs_that_are_zero_are_close_to_themselves_alone() -> None:
    zeros = metric_for(product(np.zeros_like(W)), FEEDS, "closeness")
    assert zeros.of(session_for(product(np.zeros_like(W)))) == 1
    assert zeros.of(session_for(product(W))) == 0


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        ("y = MatMul(x,w)", Agreement),
        ("y = Gemm(x,w,b)", Agreement),
        ("a = MatMul(x,w) y = Add(a,b)", Agreement),
        ("a = MatMul(x,w) y = Add(b,a)", Agreement),
        ("a = MatMul(x,w) c = Relu(a) y = Softmax(c)", Agreement),
        ("a = MatMul(x,w) y = Tanh(a)", Closeness),
        ("a = MatMul(x,w) y = LayerNormalization(a,b)", Closeness),
        ("a = MatMul(x,w) y = Add(a,a)", Agreement),
    ],
)
def test_scores_are_told_by_what_makes_them(tail: str, kind: type) -> None:
    model = parse(f"g (float[1,8] x) => (float[1,5] y) {{ {tail} }}", {"w": W, "b": (5,)})
    found = metric_for(model, FEEDS, None)
    assert isinstance(found, kind)
    assert "30 samples" in found.words
    assert found.of(session_for(model)) == pytest.approx(1)


def test_a_function_is_given_what_runs() -> None:
    def first(session: Session) -> float:
        return float(session.run(["y"], FEEDS[0])[0][0, 0])

    found = metric_for(product(W), FEEDS, first)
    assert found.words.endswith("test_metrics:first")
    assert found.of(session_for(product(W))) == pytest.approx((X @ W)[0, 0], rel=1e-5)


@pytest.mark.parametrize(
    ("returned", "message", "code"),
    [
        (KeyError("labels"), "metric m raises KeyError: 'labels'", "GP642"),
        ("many", "metric m returns 'many', expected a finite number", "GP643"),
        (None, "metric m returns None, expected a finite number", "GP643"),
        (math.nan, "metric m returns nan, expected a finite number", "GP643"),
        (math.inf, "metric m returns inf, expected a finite number", "GP643"),
    ],
)
def test_a_function_of_no_use(returned: object, message: str, code: str) -> None:
    def function(_: Session) -> float:
        if isinstance(returned, Exception):
            raise returned
        return returned  # type: ignore[return-value] # what anybody's function may do

    with pytest.raises(InputError) as caught:
        ByFunction(function, "m").of(session_for(product(W)))
    assert (caught.value.message, caught.value.code) == (message, code)


def test_numbers_of_numpy_are_numbers() -> None:
    assert ByFunction(lambda _: np.float32(0.5), "m").of(session_for(product(W))) == 0.5  # type: ignore[arg-type,return-value]


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match="metric is 'accuracy', expected 'agreement'") as caught:
        metric_for(product(W), FEEDS, "accuracy")
    assert caught.value.code == "GP646"
