"""A few of ONNX's own cases for every operator; `benchmarks/onnx_cases.py` runs all of them."""

from __future__ import annotations

from functools import cache

import pytest

import graphprune as gp
from graphprune.testing.onnx_cases import SHAPE_OPERANDS, WITHOUT_DATA, Case, Verdict, cases, run_case

PARTS = 6
EACH = 2
WHOLE = ("AffineGrid", "BitShift")
"""Operators whose first cases passed where later ones were refused, or failed."""
LEAST_SUPPORTED = 120


@cache
def chosen() -> dict[str, list[Case]]:
    """The first cases of each operator."""
    groups: dict[str, list[Case]] = {}
    for case in cases():
        groups.setdefault(case.operator, []).append(case)
    return {name: group if name in WHOLE else group[:EACH] for name, group in sorted(groups.items())}


def test_no_case_of_some_operators_is_refused() -> None:
    outcomes = [run_case(case, gp.compile) for name in WHOLE for case in chosen()[name]]
    assert [(outcome.case, outcome.reason) for outcome in outcomes if outcome.verdict is not Verdict.PASSED] == []


@pytest.mark.parametrize("part", range(PARTS))
def test_no_case_fails(part: int) -> None:
    names = list(chosen())[part::PARTS]
    outcomes = [run_case(case, gp.compile) for name in names for case in chosen()[name]]
    failed = [(outcome.case, outcome.reason) for outcome in outcomes if outcome.verdict is Verdict.FAILED]
    assert failed == []
    passed = {outcome.operator for outcome in outcomes if outcome.verdict is Verdict.PASSED}
    assert len(passed) >= LEAST_SUPPORTED / PARTS


def test_only_operators_without_data_have_all_their_inputs_made_constant() -> None:
    frozen = {
        name
        for name, positions in SHAPE_OPERANDS.items()
        for case in chosen().get(name, ())
        if len(case.model.graph.node) == 1 and case.model.graph.input
        if set(range(len(case.model.graph.node[0].input))) <= set(positions)
    }
    assert frozen == WITHOUT_DATA
