"""The table of operators says what the stages do."""

from __future__ import annotations

import pytest

from benchmarks.coverage_files import STAGES, Operator, operators, page

MICROSOFT = "com.microsoft"


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (Operator("", "Conv", is_defined=False), ["weight", "yes", "kernel"]),
        (Operator("", "Relu", is_defined=True), ["followed", "yes", "kernel"]),
        (Operator("", "NonZero", is_defined=False), ["wall", "yes", "refused"]),
        (Operator("", "BlackmanWindow", is_defined=True), ["wall", "by its definition", "by its definition"]),
        (Operator("", "Shape", is_defined=False), ["followed", "yes", "computed before"]),
        (Operator("", "LSTM", is_defined=False), ["wall", "yes", "kernel"]),
        (Operator("", "LRN", is_defined=False), ["followed", "yes", "rewritten"]),
        (Operator("ai.onnx.ml", "Scaler", is_defined=False), ["wall", "refused", "refused"]),
        (Operator(MICROSOFT, "FusedConv", is_defined=False), ["wall", "refused", "rewritten"]),
        (Operator(MICROSOFT, "BeamSearch", is_defined=False), ["wall", "refused", "refused"]),
    ],
    ids=lambda value: value.name if isinstance(value, Operator) else "",
)
def test_an_operator_is_what_the_stages_have_for_it(operator: Operator, said: list[str]) -> None:
    assert [stage(operator) for stage in STAGES.values()] == said
    assert operator in operators()


def test_the_page_has_a_row_for_each() -> None:
    rows = [line for line in "\n".join(page()).splitlines() if line.startswith("| ") and " operator " not in line]
    assert len(rows) == len(operators()) > 300
