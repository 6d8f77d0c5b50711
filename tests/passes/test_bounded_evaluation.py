"""What constants ask for is bounded: steps of loops, nested too, and bytes of results before they are made."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.passes.bounded_evaluation import Budget
from graphprune.passes.evaluation import CannotEvaluateError, evaluate

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'


def evaluated(text: str) -> ir.TensorProtocol:
    model = ir.from_onnx_text(HEADER + text)
    return evaluate(model, model.graph.node(0))[0]


LOOP = """g (float[2] x) => (float[2] y) <int64 t = {%s}, bool c = {1}, float[2] a = {1, 2}> {
    v = Loop(t, c, a) <body = b (int64 i, bool go, float[2] p) => (bool on, float[2] q) {
        on = Identity(go)
        q = Add(p, p) }>
    y = Add(x, v) }"""


def test_a_loop_of_few_steps_is_run() -> None:
    assert evaluated(LOOP % 3).numpy().tolist() == [8, 16]


def test_a_loop_without_end_is_not() -> None:
    with pytest.raises(CannotEvaluateError, match="runs more than 10000 operators"):
        evaluated(LOOP % 2**62)


@pytest.mark.parametrize(
    "node",
    [
        "ConstantOfShape (large)",
        "Expand (one, large)",
        "Tile (one, large)",
    ],
)
def test_a_result_that_is_too_large_is_not_made(node: str) -> None:
    text = f"g () => (float[n, m] y) <int64[2] large = {{65536, 65536}}, float[1,1] one = {{1}}> {{ y = {node} }}"
    with pytest.raises(CannotEvaluateError, match="takes 17179869184 bytes"):
        evaluated(text)


def test_a_value_that_grows_in_a_loop_is_stopped() -> None:
    text = """g () => (float[n] y) <int64 t = {60}, bool c = {1}, float[1] a = {1}> {
        y = Loop(t, c, a) <body = b (int64 i, bool go, float[n] p) => (bool on, float[m] q) {
            on = Identity(go)
            q = Concat<axis=0>(p, p) }> }"""
    with pytest.raises(CannotEvaluateError, match="bytes, more than the"):
        evaluated(text)


def test_several_results_share_one_budget() -> None:
    model = ir.from_onnx_text(HEADER + "g () => (float[8] y) <int64[1] size = {8}> { y = ConstantOfShape (size) }")
    budget = Budget(bytes_left=40)
    evaluate(model, model.graph.node(0), budget)
    with pytest.raises(CannotEvaluateError, match="takes 32 bytes, more than the 8 that are left"):
        evaluate(model, model.graph.node(0), budget)


def test_a_heavier_model_may_compute_more() -> None:
    light, heavy = (
        ir.from_onnx_text(f"{HEADER}g () => (float[{n}] y) <float[{n}] w = {{{','.join('1' * n)}}}> {{ y = Neg (w) }}")
        for n in (1, 3)
    )
    assert Budget.of(heavy).bytes_left - Budget.of(light).bytes_left == 64 * 8
