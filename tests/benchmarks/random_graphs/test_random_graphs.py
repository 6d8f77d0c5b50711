"""Random graphs: what is drawn, that wrong results are seen, and that a refused graph is taken out of its group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.random_graphs.comparison import difference
from benchmarks.random_graphs.draft import Draft, Value
from benchmarks.random_graphs.elements import BFLOAT16
from benchmarks.random_graphs.growing import known_operators
from benchmarks.random_graphs.together import together
from benchmarks.random_graphs.trial import attempt, run_compiled, run_torch
from graphprune.backends.onnxruntime import session_for_file
from graphprune.errors import UnsupportedModelError

X = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)


def draft(name: str, *operators: str, array: np.ndarray = X) -> Draft:
    """A graph of operators of one operand, one after another."""
    made = Draft(name, 20, np.random.default_rng(0))
    value = made.given(array, is_constant=False)
    for operator in operators:
        assert made.add(operator, [value], {}, 1)
        value = made.computed[-1]
    return made


def run_oracle(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return session_for_file(path, optimize=False).run(None, dict(feed))


def refuse_exp(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    exps = [node.name for node in onnx.load(path).graph.node if node.op_type == "Exp"]
    if exps:
        raise UnsupportedModelError(f"cannot lower '{exps[0]}'", code="GP401")
    return run_oracle(path, feed)


def crash_on_exp(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    assert all(node.op_type != "Exp" for node in onnx.load(path).graph.node)
    return run_oracle(path, feed)


def test_operators_are_those_that_the_tables_know() -> None:
    assert len(known_operators()) > 150
    assert {"Conv", "LSTM", "Attention", "BitShift"} < set(known_operators())
    assert not {"If", "Bernoulli", "StringConcat"} & set(known_operators())


@pytest.mark.parametrize(("least", "is_taken"), [(-1e-9, False), (-1e-3, True)])
def test_nothing_is_divided_by_what_rounding_may_have_left(least: float, *, is_taken: bool) -> None:
    made = draft("g", "Sin", array=np.array([least, 1, 2], np.float32))
    assert made.add("Div", [made.inputs[0], made.computed[0]], {}, 1) == is_taken
    assert made.add("Div", [made.computed[0], made.inputs[0]], {}, 1)  # by operands as they were given


@pytest.mark.parametrize("run", [run_oracle, run_compiled, run_torch])
def test_graphs_in_one_model_are_equal(tmp_path: Path, run: object) -> None:
    assert callable(run)
    drafts = [draft("g0", "Neg", "Exp"), draft("g1", "Abs", "Sqrt", "Sigmoid")]
    found = list(attempt(drafts, run, tmp_path / "m.onnx"))
    assert [(each.draft.name, each.verdict) for each in found] == [("g0", "equal"), ("g1", "equal")]


@pytest.mark.parametrize(("run", "verdict"), [(refuse_exp, "refused GP401"), (crash_on_exp, "error")])
def test_what_fails_is_found_in_its_group(tmp_path: Path, run: object, verdict: str) -> None:
    assert callable(run)
    drafts = [draft(f"g{n}", "Neg", "Exp" if n == 2 else "Relu") for n in range(5)]
    found = {each.draft.name: each.verdict for each in attempt(drafts, run, tmp_path / "m.onnx")}
    assert found == {name: verdict if name == "g2" else "equal" for name in ("g0", "g1", "g2", "g3", "g4")}


def test_a_wrong_result_is_seen(tmp_path: Path) -> None:
    def run_wrong(path: Path, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return [np.nextafter(array, np.float32(9)) for array in run_oracle(path, feed)]

    (found,) = attempt([draft("g0", "Neg")], run_wrong, tmp_path / "m.onnx")
    assert found.verdict == "different"


def test_the_least_difference_counts_where_operators_are_exact_and_rounding_does_not_elsewhere() -> None:
    exact, rounded = draft("g0", "Neg").computed[-1], draft("g1", "Exp").computed[-1]
    for value, allowed in ((exact, False), (rounded, True)):
        near = np.nextafter(value.array, np.float32(9))
        assert (difference(near, value) is None) == allowed
        assert difference(value.array, value) is None
        assert difference(value.array * np.float32(1.01), value) is not None
        assert difference(value.array.astype(np.float64), value) is not None
        assert difference(value.array[:1], value) is not None


def test_rounding_is_followed_to_where_it_cancels() -> None:
    made = draft("g0", "Exp")
    power = made.computed[-1]
    near = made.given(np.nextafter(power.array, np.float32(9)), is_constant=True)
    assert made.add("Sub", [power, near], {}, 1)
    rest = made.computed[-1]
    assert difference(np.zeros_like(rest.array), rest) is None
    assert difference(rest.array + np.float32(1), rest) is not None


def test_nan_and_infinities_must_be_where_they_are() -> None:
    value = Value("y", (np.array([np.nan, np.inf, 1], np.float32),))
    assert difference(value.array, value) is None
    for other in ([0, np.inf, 1], [np.nan, -np.inf, 1], [np.nan, np.inf, np.nan]):
        assert difference(np.array(other, np.float32), value) is not None
        assert difference(np.array(other, np.float32), replace(value, arrays=3 * value.arrays)) is not None


def test_what_jumps_takes_no_rounded_operand() -> None:
    made = draft("g0", "Exp")
    assert not made.add("Floor", made.computed, {}, 1)
    assert draft("g1", "Neg", "Floor").nodes[-1].op_type == "Floor"


ATTRIBUTES: dict[str, dict[str, Any]] = {
    "BitShift": {"direction": "LEFT"},
    "MaxPool": {"kernel_shape": [2], "dilations": [2], "pads": [1, 1]},
    "Shrink": {"bias": -1.0},
}


@pytest.mark.parametrize(
    ("operator", "operands"),
    [
        ("Div", [np.array([1], np.int32), np.array([0], np.int32)]),
        ("BitShift", [np.array([1], np.uint8), np.array([8], np.uint8)]),
        ("MatMul", [np.full((1, 2), 3e38, np.float32), np.ones((2, 1), np.float32)]),
        ("ArgMax", [np.array([np.nan], np.float32)]),
        ("Clip", [np.array([1], np.float32), np.array(np.nan, np.float32)]),
        ("GlobalLpPool", [np.full((1, 1, 1), 1e-20, np.float32)]),
        ("Shrink", [np.array([0], np.uint8)]),
        ("MaxPool", [np.ones((1, 1, 1), np.float32)]),
    ],
)
def test_what_is_not_determined_is_left_out(operator: str, operands: list[np.ndarray]) -> None:
    made = Draft("g0", 20, np.random.default_rng(0))
    given = [made.given(array, is_constant=False) for array in operands]
    attributes = ATTRIBUTES.get(operator, {})
    assert not made.add(operator, [*given], attributes, 1)


def test_bfloat16_is_computed_in_float32_and_rounded() -> None:
    made = draft("g0", "Exp", array=np.array([1.0], BFLOAT16))
    assert made.computed[-1].array == np.exp(np.float32(1)).astype(BFLOAT16)
    assert together([made]).graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16


def test_the_least_number_masks_what_minus_infinity_does() -> None:
    value = Value("v", (np.array([np.finfo(np.float32).min, 1], np.float32),), is_constant=False)
    assert difference(np.array([-np.inf, 1], np.float32), value) is None
    assert difference(np.array([np.inf, 1], np.float32), value) is not None
    assert difference(np.array([np.finfo(np.float32).min, -np.inf], np.float32), value) is not None
