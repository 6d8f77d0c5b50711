"""Arithmetic at the edges of floats against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from tests.frontends.torch_operators.checks import assert_round_trip, outputs
from tests.weighted import weighted_model

FLOATS: dict[str, type[np.floating[Any]]] = {"float": np.float32, "double": np.float64, "float16": np.float16}
LIMITS = {"none": "x", "low": "x, w", "high": 'x, "", w', "both": "x, w, w_high"}


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("kind", FLOATS)
def test_a_limit_that_is_absent_is_the_last_finite_number(kind: str, limits: str) -> None:
    dtype = FLOATS[kind]
    most = np.finfo(dtype).max
    x = np.array([np.inf, -np.inf, np.nan, most, -most, 0, 2, -2], dtype)
    text = f"main ({kind}[8] x, {kind} w, {kind} w_high) => ({kind}[8] y) {{ y = Clip ({LIMITS[limits]}) }}"
    model = weighted_model(text, {"w": np.array(0.5, dtype), "w_high": np.array(1.5, dtype)})
    expected = session_for(model, optimize=False).run(None, {"x": x})
    np.testing.assert_array_equal(outputs(gp.to_torch(model), {"x": x}), expected)


def test_it_is_exported_again() -> None:
    assert_round_trip(weighted_model("main (float[2,8] x, float w) => (float[2,8] y) { y = Clip (x, w) }"))
