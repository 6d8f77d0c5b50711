"""Outputs that tell nothing: zeros, NaN, and what is the same in every case."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.errors import VerificationError
from graphprune.verification.verifier import verify
from tests.verification.tampered import ZEROS


def test_nothing_but_zeros_is_a_failure() -> None:
    report = verify(ir.from_onnx_text(ZEROS), ir.from_onnx_text(ZEROS))
    assert not report.passed
    with pytest.raises(VerificationError, match=r"output 'y' is zero, NaN, empty or lost in rounding in every"):
        report.raise_for_failure()


def test_nothing_but_nan_is_a_failure() -> None:
    text = ZEROS.replace("Mul(x, zero)", "Div(zero, zero)").replace("float[2] y", "float[1] y")
    assert not verify(ir.from_onnx_text(text), ir.from_onnx_text(text)).passed


def test_a_constant_output_is_warned_about() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[2] x) => (float[2] y, float[2] z) <float[1] zero = {0}, float[1] one = {1}> {
        flat = Mul(x, zero)
        y = Add(flat, one)
        z = Neg(x)
    }"""
    report = verify(ir.from_onnx_text(text), ir.from_onnx_text(text))
    assert report.passed
    assert [output.is_constant for output in report.outputs] == [True, False]
    assert report.warnings == ("output 'y' is constant over all cases, so nothing was compared",)


def test_an_output_that_does_not_depend_on_the_input_is_constant_though_its_elements_differ() -> None:
    text = ZEROS.replace("float[1] zero = {0}", "float[2] zero = {0, 0}, float[2] b = {1, 2}")
    graph = ir.from_onnx_text(text.replace("y = Mul(x, zero)", "a = Mul(x, zero) y = Add(a, b)"))
    assert verify(graph, graph).outputs[0].is_constant
    assert not verify(graph, graph, cases=1).outputs[0].is_constant


def test_an_output_of_one_value_a_case_is_not_constant_where_the_cases_differ() -> None:
    graph = ir.from_onnx_text(ZEROS.replace("float[2]", "float[1]").replace("{0}", "{2}"))
    assert verify(graph, graph).warnings == ()
    assert verify(graph, graph, cases=1).outputs[0].is_constant
