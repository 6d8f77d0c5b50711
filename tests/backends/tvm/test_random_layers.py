"""Random layers, compiled in all ways there are, beside ONNX Runtime; `benchmarks/random_layers.py` runs many more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from tests.backends.tvm.layer_choices import Choices, check, choices
from tests.backends.tvm.layer_drafts import layers
from tests.backends.tvm.layers import Layer


@pytest.mark.parametrize("check_bounds", [False, True])
@given(layers(4), choices())
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_equal_onnxruntime(check_bounds: bool, drawn: list[Layer], chosen: Choices) -> None:  # noqa: FBT001
    check(drawn, replace(chosen, check_bounds=check_bounds))
