"""InlineBranches: which branch is taken, whose weights stay, and what is refused."""

import onnx_ir as ir
import pytest

from graphprune.analysis.weights import prunable_weights
from graphprune.passes.base import run_pass
from graphprune.passes.inline_branches import InlineBranches
from graphprune.testing.check_pass import check_pass
from tests.backends.tvm.graphs import parse

TEXT = """<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) <bool[1] yes = {CONDITION}> {
    [choice] a = If (yes) <
        then_branch = t () => (float[2] p) <float k = {2}> { p = Mul (x, k) },
        else_branch = e () => (float[2] q) <float k = {3}> { r = Neg (x) q = Mul (r, k) }
    >
    y = Relu (a)
}"""


@pytest.mark.parametrize(("condition", "operators", "constant"), [("1", ["Mul"], 2), ("0", ["Neg", "Mul"], 3)])
def test_the_branch_that_the_condition_takes_is_left(condition: str, operators: list[str], constant: float) -> None:
    result = check_pass(InlineBranches(), TEXT.replace("CONDITION", condition))
    assert [node.op_type for node in result.model.graph] == [*operators, "Relu"]
    ((name, value),) = result.model.graph.initializers.items()
    assert name == "choice.k"
    assert value.const_value is not None
    assert value.const_value.numpy() == constant
    assert [rewrite.node for rewrite in result.rewrites] == ["choice"]


def test_a_weight_that_the_other_branch_reads_too_is_read_once() -> None:
    text = """g (float[1,16] x) => (float[1,16] y) <bool yes = {1}> {
        y = If (yes) <
            then_branch = t () => (float[1,16] p) { p = MatMul (x, w) },
            else_branch = e () => (float[1,16] q) { z = Neg (w) q = MatMul (x, z) }
        >
    }"""
    result = run_pass(InlineBranches(), parse(text, {"w": (16, 16)}))
    assert [weight.name for weight in prunable_weights(result.model)[0]] == ["w"]


def test_an_outer_value_may_be_a_result() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) <bool yes = {1}> {
        a = Neg (x)
        b = If (yes) <
            then_branch = t () => (float[2] p) { p = Identity (a) },
            else_branch = e () => (float[2] q) { q = Abs (x) }
        >
        y = Relu (b)
    }"""
    assert check_pass(InlineBranches(), text).changed


def test_a_condition_of_the_run_is_refused() -> None:
    text = TEXT.replace("(float[2] x)", "(float[2] x, bool[1] yes)", 1).replace(" <bool[1] yes = {CONDITION}>", "")
    result = check_pass(InlineBranches(), text)
    assert not result.changed
    assert [(skip.code, skip.node) for skip in result.skips] == [("GP159", "choice")]


def test_a_graph_without_branches_stays() -> None:
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) { y = Neg (x) }'
    assert not run_pass(InlineBranches(), ir.from_onnx_text(text)).changed
