"""Two quantized graphs, value by value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import VerificationError
from graphprune.frontends.onnx_file import save
from graphprune.verification.verifier import verify
from tests.verification.integers import (
    DYNAMIC,
    OPERATORS,
    QDQ,
    a_level_off,
    constants,
    dynamic_constants,
    model,
    reordered,
)

BAD_SCALE = {"bad": constants()["sd"] * np.float32(1.01)}
BAD_ZERO = {"bad": constants()["zd"] + np.uint8(1)}


def test_a_model_equals_itself() -> None:
    report = verify(model(), model())
    assert report.passed
    assert report.warnings == ()
    found = report.quantized
    assert found is not None
    assert (found.values, found.others, found.elements) == (3, 0, 3 * 3 * 4 * 24 * 24)
    assert (found.differing, found.most_levels, found.first_rounded, found.reason) == (0, 0, None, None)


@pytest.mark.parametrize("by", [2.0**-20, 2.0**-16, -(2.0**-16)])
def test_another_order_of_sums_passes_and_does_not_travel(by: float) -> None:
    report = verify(model(), model(reordered(by=by)), cases=20)
    assert report.passed
    found = report.quantized
    assert found is not None
    assert 0 < found.differing < 50
    assert found.most_levels == 1
    assert found.first_rounded is not None
    assert (found.first_rounded.node, found.first_rounded.value) == ("q2", "e")


@pytest.mark.parametrize(
    ("candidate", "node"),
    [
        (model(QDQ.replace("QuantizeLinear(d, sd", "QuantizeLinear(d, bad"), BAD_SCALE), "q2"),
        (model(QDQ.replace("DequantizeLinear(e, sd", "DequantizeLinear(e, bad"), BAD_SCALE), "d3"),
        (model(QDQ.replace("QuantizeLinear(d, sd, zd", "QuantizeLinear(d, sd, bad"), BAD_ZERO), "q2"),
        (model(QDQ.replace("DequantizeLinear(e, sd, zd", "DequantizeLinear(e, sd, bad"), BAD_ZERO), "d3"),
        (model(QDQ.replace("Clip(c, least, most)", "Identity(c)")), "clip"),
        (model(changed=a_level_off("w")), "d2"),
        (model(changed=a_level_off("k")), "d4"),
        (
            model(
                QDQ.replace("DequantizeLinear(i, sh", "DequantizeLinear(i, bad"),
                {"bad": constants()["sh"] * np.float32(1.01)},
            ),
            "d5",
        ),
    ],
    ids=["scale", "scale back", "zero point", "zero point back", "clip", "weight", "second weight", "last scale"],
)
def test_a_fault_fails_at_its_node(candidate: ir.Model, node: str) -> None:
    report = verify(model(), candidate)
    assert not report.passed
    assert report.quantized is not None
    assert report.quantized.reason is not None
    assert report.first_difference is not None
    assert report.first_difference.node == node


def test_a_fault_behind_ties_fails_at_its_node() -> None:
    report = verify(model(), model(reordered(by=2.0**-16), a_level_off("k")))
    assert report.first_difference is not None
    assert report.first_difference.node == "d4"


def test_a_fault_that_no_output_shows_fails() -> None:
    """What is behind the value halves what differs, so that outputs are within what ties explain."""
    small = {"k": np.where(np.arange(144).reshape(4, 4, 3, 3) % 9 == 4, 1, 0).astype(np.int8)}
    report = verify(model(changed=small), model(changed={**small, **a_level_off("w")}))
    assert all(output.difference.reason is None for output in report.outputs)
    assert not report.passed
    with pytest.raises(VerificationError, match=r"^value 'e', computed from the reference's integers, differs .*'d2'"):
        report.raise_for_failure()


def test_the_form_with_operators_passes_beside_quantizers() -> None:
    unclipped = QDQ.replace("Clip(c, least, most)", "Identity(c)")
    report = verify(model(unclipped), model(OPERATORS))
    assert report.passed
    assert report.quantized is not None
    assert (report.quantized.values, report.quantized.others) == (3, 0)
    assert not verify(model(unclipped), model(OPERATORS, a_level_off("w"))).passed
    assert not verify(model(OPERATORS), model(OPERATORS, a_level_off("w"))).passed


def test_files_are_compared_so(tmp_path: Path) -> None:
    save(model(), tmp_path / "a.onnx")
    save(model(changed=a_level_off("k")), tmp_path / "b.onnx")
    assert verify(tmp_path / "a.onnx", tmp_path / "a.onnx").passed
    assert not verify(tmp_path / "a.onnx", tmp_path / "b.onnx").passed


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        ({}, True),
        ({"k": dynamic_constants()["k"] + np.int8(1)}, False),
        ({"m": dynamic_constants()["m"] * np.float32(1.01)}, False),
    ],
    ids=["same", "weight", "scale"],
)
def test_dynamic_quantization(changed: Mapping[str, np.ndarray], passes: bool) -> None:  # noqa: FBT001 - a case
    one, other = (model(DYNAMIC, given=dynamic_constants() | dict(each)) for each in ({}, changed))
    report = verify(one, other)
    assert report.passed is passes
    assert report.quantized is not None
    assert report.quantized.values == 1


def test_half_precision_is_given_its_room() -> None:
    text = """g (float[1,4,24,24] x) => (float[1,4,24,24] y) {
        h = Cast<to = 10>(x) r = Mul(h, near)
        a = QuantizeLinear(r, half, zx) b = DequantizeLinear(a, half, zx) y = Cast<to = 1>(b) }"""
    one, other = (
        model(text, {"half": np.array(0.03, np.float16), "near": np.array(1 + by, np.float16)}, opset=21)
        for by in (0.0, 2.0**-10)
    )
    report = verify(one, other)
    assert report.passed
    assert report.quantized is not None
    assert report.quantized.differing > 0.01 * report.quantized.elements


def test_floats_are_compared_as_ever() -> None:
    text = "g (float[4] x) => (float[4] y) { y = Neg(x) }"
    assert verify(model(text), model(text)).quantized is None
    assert verify(model(text), model(QDQ.replace(QDQ, text))).passed
