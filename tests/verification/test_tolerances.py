"""How far outputs may lie apart, by how they were computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.verifier import verify
from tests.verification.tampered import HALF, Tampered

SIGMOIDS = """<ir_version: 10, opset_import: ["" : 20]>
g (float[4] x) => (float[4] y, float[4] z) <float[1] far = {-26}> {
    a = Add(x, far)
    y = Sigmoid(a)
    z = Neg(x)
}"""


def raised(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [arrays[0] + np.float32(5e-12), *arrays[1:]]


def test_where_a_sigmoid_underflows_nothing_is_compared_and_that_is_said() -> None:
    graph = ir.from_onnx_text(SIGMOIDS)
    report = verify(graph, Tampered(session_for(graph), raised))
    assert report.passed
    assert report.warnings[0].startswith("output 'y' is zero, NaN, empty or lost in rounding in every case")
    assert len(report.warnings) == 1
    alone = ir.from_onnx_text(SIGMOIDS.replace(", float[4] z", ""))
    assert not verify(alone, Tampered(session_for(alone), raised)).passed


def test_a_small_error_of_what_no_sigmoid_made_is_none_of_rounding() -> None:
    graph = ir.from_onnx_text(SIGMOIDS.replace("y = Sigmoid(a)", "y = Sub(a, a)"))
    assert verify(graph, Tampered(session_for(graph), raised)).outputs[0].difference.mismatches == 12


def test_a_given_absolute_tolerance_has_no_floor() -> None:
    graph = ir.from_onnx_text(SIGMOIDS)
    assert not verify(graph, Tampered(session_for(graph), raised), atol=0.0).passed


def shifted(size: float) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    return lambda arrays: [array + array.dtype.type(size) for array in arrays]


def test_a_single_precision_output_that_was_computed_in_half_is_held_to_half() -> None:
    half, single = ir.from_onnx_text(HALF), ir.from_onnx_text(HALF.replace("<to = 10>", "<to = 1>"))
    assert verify(half, Tampered(session_for(half), shifted(1e-3))).passed
    assert not verify(half, Tampered(session_for(half), shifted(1e-1))).passed
    assert not verify(single, Tampered(session_for(single), shifted(1e-3))).passed


def test_errors_are_told_in_units_of_the_spread_of_the_output() -> None:
    graph = ir.from_onnx_text(SIGMOIDS.replace("Sigmoid(a)", "Identity(a)"))
    found = verify(graph, Tampered(session_for(graph), shifted(0.5)), cases=1).outputs[1].difference.max_spread_error
    assert found is not None
    assert 0.2 < found < 2
    worst = [
        verify(graph, Tampered(session_for(graph), shifted(0.5)), seed=seed, cases=1).outputs[1] for seed in range(3)
    ]
    several = verify(graph, Tampered(session_for(graph), shifted(0.5))).outputs[1].difference.max_spread_error
    assert several == max(each.difference.max_spread_error or 0 for each in worst)
