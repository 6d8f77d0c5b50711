"""Which node is named where two models differ."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import VerificationError
from graphprune.verification.verifier import verify
from tests.verification.tampered import HALF, TWO_LAYERS, ZEROS, Tampered, doubled, model


def test_the_first_node_that_differs_is_named() -> None:
    report = verify(model(), model("0.3,-0.4,0.5", "0.3,-0.4,0.6"))
    assert not report.passed
    assert report.first_difference is not None
    assert (report.first_difference.node, report.first_difference.value) == ("third", "b")
    with pytest.raises(VerificationError, match=r"the first node to differ is 'third' \(MatMul\) \[GP561\]"):
        report.raise_for_failure()


def test_a_renamed_value_does_not_hide_the_difference() -> None:
    other = (
        TWO_LAYERS.replace("[first] a =", "[first] q =")
        .replace("Sigmoid(a)", "Sigmoid(q)")
        .replace("{0.1,0.2", "{9,0.2")
    )
    report = verify(model(), ir.from_onnx_text(other))
    assert report.first_difference is not None
    assert report.first_difference.node == "second"


def test_no_node_is_named_where_only_sessions_are_known() -> None:
    report = verify(model(), Tampered(session_for(model()), doubled))
    assert report.first_difference is None


def test_the_first_sample_that_fails_is_searched_for_the_node() -> None:
    text = ZEROS.replace("y = Mul(x, zero)", "[cut] y = Clip(x, zero, most)")
    one, other = (
        ir.from_onnx_text(text.replace("float[1] zero = {0}", f"float zero = {{0}}, float most = {{{most}}}"))
        for most in (9, 2)
    )
    samples = [{"x": np.full(2, value, "float32")} for value in (1, 3, 5)]
    report = verify(one, other, samples=samples)
    assert report.first_difference is not None
    assert (report.first_difference.node, report.first_difference.max_abs_error) == ("cut", 1.0)
    assert (report.cases, report.seed) == (3, None)


def test_the_first_node_to_differ_is_held_to_how_it_was_computed() -> None:
    one, next_to_one = 0x3C00, 0x3C02  # the bits of float16
    body = HALF.replace("k = Mul(h, h)", "k = Mul(h, near) f = Cast<to = 1>(k) q = Mul(f, far)")
    body = body.replace("Cast<to = 1>(k) }", "Neg(q) }")

    def scaled(near: int, far: int) -> ir.Model:
        values = f"<float16[1] near = {{{near}}}, float[1] far = {{{far}}}>"
        return ir.from_onnx_text(body.replace(") {", f") {values} {{"))

    report = verify(scaled(one, 1), scaled(next_to_one, 2))
    assert report.first_difference is not None
    assert report.first_difference.value == "q"
