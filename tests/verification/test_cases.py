"""What two models are compared on: how many cases, of which shapes and values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError
from graphprune.verification.verifier import verify
from tests.verification.tampered import Tampered, model


def test_cases_differ_and_repeat() -> None:
    seen: list[np.ndarray] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.append(arrays[0])
        return arrays

    for _ in range(2):
        verify(model(), Tampered(session_for(model()), record), cases=2, seed=7)
    assert np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[1])


def test_progress_counts_cases() -> None:
    done: list[int] = []
    verify(model(), model(), cases=2, on_case=done.append)
    assert done == [1, 2]


def test_open_dimensions_take_the_shape_given() -> None:
    shapes: list[tuple[int, ...]] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        shapes.append(arrays[0].shape)
        return arrays

    verify(model(), Tampered(session_for(model()), record), cases=1, input_shapes={"x": (5, 3)})
    assert shapes == [(5, 2)]


def test_an_extent_fixed_on_one_side_is_used() -> None:
    assert verify(model(), model("float[batch,3] x", "float[4,3] x"), cases=1).passed


def test_indices_stay_in_the_smaller_of_both_tables() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (int64[50] ids) => (float[50] y) <float[ROWS] table = {VALUES}> { y = Gather(table, ids) }"""
    few, many = (
        ir.from_onnx_text(text.replace("ROWS", str(rows)).replace("VALUES", ",".join(map(str, range(rows)))))
        for rows in (3, 9)
    )
    assert verify(few, many).passed
    assert verify(many, few).passed


def test_every_set_of_shapes_has_its_turn() -> None:
    shapes: list[tuple[int, ...]] = []

    def record(arrays: list[np.ndarray]) -> list[np.ndarray]:
        shapes.append(arrays[0].shape)
        return arrays

    session = Tampered(session_for(model()), record)
    assert verify(model(), session, cases=1, input_shapes={"x": [(5, 3), (2, 3)]}).cases == 2
    assert shapes == [(5, 2), (2, 2)]


def test_token_ids_stay_in_the_table_although_the_candidate_is_a_session() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (int64[1,20] ids) => (float[1,20,2] y) <float[3,2] table = {1,2,3,4,5,6}> { y = Gather(table, ids) }"""
    graph = ir.from_onnx_text(text)
    report = verify(graph, session_for(graph))
    assert report.passed
    assert report.outputs[0].difference.max_abs_reference == 6


def test_no_case_is_refused() -> None:
    with pytest.raises(InputError, match=r"cases is 0, expected at least 1 \[GP563\]"):
        verify(model(), model(), cases=0)
