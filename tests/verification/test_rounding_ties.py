"""Outputs of which no value before them is seen: held to what ties of rounding explain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.report import VerifyReport
from graphprune.verification.verifier import verify
from tests.verification.integers import OPERATORS, QDQ, a_level_off, constants, model, reordered
from tests.verification.tampered import Tampered


def opaque(reference: ir.Model, candidate: ir.Model, cases: int = 3) -> VerifyReport:
    return verify(reference, session_for(candidate, optimize=False), cases=cases)


def tampered(change: Callable[[np.ndarray], np.ndarray], graph: ir.Model | None = None) -> VerifyReport:
    graph = graph or model()
    return verify(graph, Tampered(session_for(graph, optimize=False), lambda arrays: [change(arrays[0])]))


def one_level(count: int, levels: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """So many elements of the output larger by as many levels."""

    def change(array: np.ndarray) -> np.ndarray:
        flat = array.reshape(-1)
        flat[:count] += np.float32(0.03) * levels
        return array

    return change


@pytest.mark.parametrize("text", [QDQ, QDQ.replace("Clip(c, least, most)", "Identity(c)")])
@pytest.mark.parametrize("by", [2.0**-20, 2.0**-18, -(2.0**-18)])
def test_another_order_of_sums_passes_and_is_said(text: str, by: float) -> None:
    report = opaque(model(text), model(reordered(text, by)), cases=20)
    assert report.passed
    difference = report.outputs[0].difference
    assert difference.mismatches > 0
    assert difference.ties is not None
    assert difference.ties.levels == pytest.approx(1, abs=1e-3)
    assert difference.ties.explained.rms > 0
    (warning,) = report.warnings
    assert warning.startswith("output 'y' differs by no more than ties of rounding to integers explain: ")
    assert report.to_dict()["outputs"][0]["difference"]["ties"]["runs"] >= 1


@pytest.mark.parametrize(
    "candidate",
    [
        model(
            QDQ.replace("QuantizeLinear(d, sd", "QuantizeLinear(d, bad"), {"bad": constants()["sd"] * np.float32(1.01)}
        ),
        model(
            QDQ.replace("QuantizeLinear(d, sd, zd", "QuantizeLinear(d, sd, bad"),
            {"bad": constants()["zd"] + np.uint8(1)},
        ),
        model(QDQ.replace("Clip(c, least, most)", "Identity(c)")),
        model(changed=a_level_off("w")),
        model(changed=a_level_off("k")),
    ],
    ids=["scale", "zero point", "clip", "weight", "second weight"],
)
def test_a_fault_fails(candidate: ir.Model) -> None:
    report = opaque(model(), candidate)
    assert not report.passed
    assert "ties explain" in str(report.outputs[0].difference.reason)
    assert report.warnings == ()


def test_what_does_not_differ_is_not_held_to_ties() -> None:
    report = opaque(model(), model())
    assert report.passed
    assert report.outputs[0].difference.ties is None


@pytest.mark.parametrize(("count", "levels", "passes"), [(2, 1, True), (200, 1, False), (1, 9, False)])
def test_one_level_in_few_elements_of_an_output_that_is_rounded(count: int, levels: int, passes: bool) -> None:  # noqa: FBT001 - a case
    assert tampered(one_level(count, levels)).passed is passes


@pytest.mark.parametrize(("count", "passes"), [(1, True), (2, False)])
def test_one_level_in_one_element_needs_no_run_that_shows_it(count: int, passes: bool) -> None:  # noqa: FBT001 - a case
    text = "g (float[64] x) => (float[64] y) { a = QuantizeLinear(x, sx, zx) y = DequantizeLinear(a, sx, zx) }"
    graph = model(text)
    candidate = Tampered(session_for(graph, optimize=False), lambda arrays: [one_level(count)(arrays[0])])
    report = verify(graph, candidate, samples=[{"x": np.arange(64, dtype=np.float32) * np.float32(0.03)}])
    assert report.passed is passes
    assert report.outputs[0].difference.ties is not None
    assert report.outputs[0].difference.ties.explained.rms == 0


def test_where_nothing_varies_nothing_is_explained() -> None:
    """Inputs that lie on levels have no tie near."""
    text = """g (float[64] x) => (float[64] y) {{
        factor = Constant<value_float = {}>() a = QuantizeLinear(x, one, zx) b = DequantizeLinear(a, one, zx)
        y = Mul(b, factor) }}"""
    one = {"one": np.array(1, np.float32)}
    samples = [{"x": np.arange(64, dtype=np.float32)}]
    for by, passes in ((1.00001, True), (1.001, False)):
        candidate = session_for(model(text.format(by), one))
        assert verify(model(text.format(1.0), one), candidate, samples=samples).passed is passes


def test_integers_that_are_outputs_are_levels() -> None:
    text = OPERATORS.replace("(float[1,4,24,24] y)", "(uint8[1,4,24,24] i)").replace(
        "[d5] y = DequantizeLinear(i, sh, zh)", ""
    )
    graph = model(text)

    def moved(by: int, count: int) -> Callable[[np.ndarray], np.ndarray]:
        def change(array: np.ndarray) -> np.ndarray:
            flat = array.reshape(-1)
            flat[:count] = np.where(flat[:count] > 127, flat[:count] - by, flat[:count] + by)
            return array

        return change

    report = tampered(moved(1, 2), graph)
    assert report.passed
    assert report.outputs[0].difference.ties is not None
    assert report.outputs[0].difference.ties.levels == 1.0
    assert not tampered(moved(2, 2), graph).passed
    assert not tampered(moved(1, 900), graph).passed


def test_an_index_may_be_another_as_often_as_ties_make_it_one() -> None:
    text = (
        QDQ.replace("(float[1,4,24,24] y)", "(int64[1,1,24,24] best)")
        .replace("[d5] y =", "t =")
        .replace("zh) }", "zh) best = ArgMax<axis = 1>(t) }")
    )
    assert opaque(model(text), model(reordered(text)), cases=20).passed
    assert not opaque(model(text), model(text, a_level_off("w"))).passed
    assert not tampered(lambda array: (array + 1) % 4, model(text)).passed


def test_nan_is_not_explained() -> None:
    def spoil(array: np.ndarray) -> np.ndarray:
        array[0, 0, 0, 0] = np.nan
        return array

    report = tampered(spoil)
    assert not report.passed
    assert report.outputs[0].difference.ties is None


def test_the_graph_of_the_reference_is_needed() -> None:
    reference = session_for(model(), optimize=False)
    report = verify(reference, session_for(model(reordered()), optimize=False), cases=20)
    assert not report.passed
    assert report.outputs[0].difference.ties is None
