"""Ranges of values over samples."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.calibration.ranges import Method, calibrate, check_outputs
from graphprune.errors import InputError
from tests.backends.tvm.graphs import parse

MODEL = "g (float[2] x) => (float[2] y) { h = Mul(x,two) [half] y = Sqrt(h) }"
TWO = {"two": np.array(2, np.float32)}


def feeds(*samples: tuple[float, float]) -> list[dict[str, np.ndarray]]:
    return [{"x": np.array(sample, np.float32)} for sample in samples]


def test_the_least_and_the_largest_of_all_samples() -> None:
    found = calibrate(parse(MODEL, TWO), feeds((1, 8), (0.5, 2)))
    assert found == (("x", 0.5, 8.0), ("h", 1.0, 16.0), ("y", 1.0, 4.0))


@pytest.mark.parametrize("method", [Method.ENTROPY, Method.PERCENTILE])
def test_other_methods_may_leave_something_out(method: Method) -> None:
    rng = np.random.default_rng(0)
    samples = [{"x": np.abs(rng.standard_normal(2)).astype(np.float32)} for _ in range(64)]
    for (_, low, high), (_, least, most) in zip(
        calibrate(parse(MODEL, TWO), samples, method), calibrate(parse(MODEL, TWO), samples), strict=True
    ):
        assert most > 0
        assert abs(low) <= most * 1.001
        assert 0 < high <= most * 1.001
        assert low <= high
        assert least >= 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_are_finite(bad: float) -> None:
    with pytest.raises(InputError, match=r"sample 1: input 'x' holds NaN or an infinity \[GP575\]"):
        calibrate(parse(MODEL, TWO), feeds((1, 2), (1, bad)))


def test_values_are_finite() -> None:
    with pytest.raises(InputError, match=r"node 'half' \(Sqrt\): 'y' is NaN or infinite on these samples \[GP576\]"):
        check_outputs(parse(MODEL, TWO), feeds((1, 2), (-1, -2)))


def test_infinite_values_have_no_range() -> None:
    text = "g (float[2] x) => (float[2] y) { h = Add(x,lowest) y = Exp(h) }"
    found = calibrate(parse(text, {"lowest": np.array([0, -np.inf], np.float32)}), feeds((0, 1), (1, 2)))
    assert [name for name, _, _ in found] == ["x", "y"]


def test_samples_vary() -> None:
    with pytest.raises(InputError, match=r"the inputs are 3 everywhere in all samples, expected real ones \[GP577\]"):
        calibrate(parse(MODEL, TWO), feeds((3, 3), (3, 3)))


def test_one_of_several_inputs_may_be_constant() -> None:
    model = parse("g (float[2] x, float[2] z) => (float[2] y) { y = Add(x,z) }")
    samples = [feed | {"z": np.ones(2, np.float32)} for feed in feeds((1, 2))]
    assert calibrate(model, samples) == (("x", 1.0, 2.0), ("z", 1.0, 1.0), ("y", 2.0, 3.0))


def test_methods_by_name() -> None:
    with pytest.raises(InputError, match=r"method is 'max', expected one of minmax, entropy, percentile \[GP578\]"):
        calibrate(parse(MODEL, TWO), feeds((1, 2)), "max")
