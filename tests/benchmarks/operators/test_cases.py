"""Every operator has a case or a reason, and every case is a model."""

import numpy as np
import pytest

from benchmarks.operators.case import Case, case, draw, quantized
from benchmarks.operators.cases import KINDS, WITHOUT_CASE, lowered
from benchmarks.operators.measure import Row, difference, measure
from benchmarks.operators.table import line, summary, worst_first

CASES = [each for cases in KINDS.values() for each in cases]


def test_every_operator_that_is_lowered_has_a_case_or_a_reason() -> None:
    timed = {each.operator for each in CASES}
    assert lowered() - timed == set(WITHOUT_CASE)
    assert timed <= lowered()


def test_no_case_is_there_twice() -> None:
    titles = [each.title for each in CASES]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_is_a_model_that_takes_its_feed(kind: str) -> None:
    for each in KINDS[kind]:
        model, feed = each.model(), each.feed()
        assert [node.op_type for node in model.graph if node.name == "node"] == [each.operator]
        declared = {value.name: value.shape for value in model.graph.inputs}
        assert {name: array.shape for name, array in feed.items()} == declared, each.title


def test_an_operand_is_drawn_as_its_text_says() -> None:
    chosen = draw("int64 2x500 <9")
    assert (chosen.dtype, chosen.shape, chosen.min(), chosen.max()) == (np.int64, (2, 500), 0, 8)
    assert 0 <= draw("3x50 <1").min() <= draw("3x50 <1").max() <= 1
    assert draw("=bool 7").dtype == np.bool_
    assert 0.09 < draw("=64x100").std() < 0.11
    assert draw("=float16 64x100").dtype == np.float16
    assert 0.9 < draw("64x100").std() < 1.1
    assert draw([1.0, 2.0]).dtype == np.float32
    with pytest.raises(ValueError, match="no operand"):
        draw("64 by 64")


def test_a_constant_is_no_input() -> None:
    model = case("Add", "2x3", "=3").model()
    assert [value.name for value in model.graph.inputs] == ["x0"]
    assert list(model.graph.initializers) == ["x1"]


def test_a_quantized_case_is_a_chain() -> None:
    operators = [node.op_type for node in quantized("Add", "uint8 2x3", "uint8 2x3").model().graph]
    assert [name for name in operators if name != "Constant"] == [
        *("DequantizeLinear", "DequantizeLinear", "Add", "QuantizeLinear")
    ]


def test_both_sides_are_timed_and_compared() -> None:
    row = measure(case("Relu", "4x8"))
    assert row.ratio is not None
    assert row.ratio > 0
    assert row.error == 0
    assert not row.is_wrong


def test_a_case_that_a_side_refuses_says_so() -> None:
    row = measure(case("NonZero", "2x3"))
    assert row.ratio is None
    assert "GP401" in line(row)


@pytest.mark.parametrize("ours", [[1, 2.1], [1, np.nan], [[1, 2]], [1, np.inf]])
def test_outputs_that_differ_are_wrong(ours: list[float]) -> None:
    same = np.zeros(1, np.float32)
    apart = difference([same, np.array(ours, np.float32)], [same, np.array([1, 2], np.float32)])
    assert Row(case("Relu", "2"), 1.0, 1.0, apart).is_wrong


def test_outputs_of_another_type_are_wrong() -> None:
    assert difference([np.zeros(2, np.float64)], [np.zeros(2, np.float32)]) == float("inf")


def test_equal_outputs_are_not_wrong() -> None:
    array = np.array([1, np.nan, np.inf], np.float32)
    assert difference([array], [array.copy()]) == 0


def test_the_worst_comes_first_and_what_has_no_ratio_last() -> None:
    named: list[Case] = [case(name, "2") for name in ("Relu", "Abs", "Neg")]
    rows = [Row(named[0], 1.0, 2.0), Row(named[1], reason="refused"), Row(named[2], 3.0, 1.0)]
    assert [row.case.operator for row in worst_first(rows)] == ["Neg", "Relu", "Abs"]
    assert summary(rows, 1.5) == "2 cases, median 1.75 of ONNX Runtime's time, 1 over 1.5"
