"""FixInputValues: what the input becomes, what follows, and what is refused."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.weights import prunable_weights
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError
from graphprune.passes.base import run_pass
from graphprune.passes.fix_input_values import FixInputValues
from graphprune.passes.input_values import with_input_values
from graphprune.testing.check_pass import check_pass
from tests.backends.tvm.graphs import parse

HEADER = '<ir_version: 8, opset_import: ["" : 18]>'
TEXT = HEADER + "g (float[2] x, {} r) => (float[2] y) {{ c = CastLike (r, x) y = Mul (x, c) }}"
NESTED = """g (float[1,16] x, int64 rate, bool[1] loud) => (float[1,16] y) <int64 k = {16000}> {
    same = Equal (rate, k)
    y = If (same) <
        then_branch = a () => (float[1,16] p) {
            p = If (loud) <
                then_branch = c () => (float[1,16] t) { t = MatMul (x, w) },
                else_branch = d () => (float[1,16] u) { u = MatMul (x, v) }
            >
        },
        else_branch = b () => (float[1,16] q) { q = MatMul (x, v) }
    >
}"""


def fixed(number: float, name: str = "r") -> FixInputValues:
    return FixInputValues(values=((name, number),))


@pytest.mark.parametrize(
    ("kind", "number"), [("int64", 16000), ("float", 0.1), ("bool", 1), ("uint8[1]", 255), ("float16[2]", 2.5)]
)
def test_an_input_becomes_a_constant_of_its_type_and_shape(kind: str, number: float) -> None:
    result = check_pass(fixed(number), TEXT.format(kind))
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    before = ir.from_onnx_text(TEXT.format(kind)).graph.inputs[1]
    after = result.model.graph.initializers["r"]
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert after.const_value is not None
    np.testing.assert_array_equal(after.const_value.numpy(), np.array(number, after.const_value.numpy().dtype))


@pytest.mark.parametrize(
    ("kind", "name", "number", "message"),
    [
        ("int64", "s", 1, r"no input is named 's', expected one of \['r', 'x'\] \[GP440\]$"),
        ("int64", "r", 0.5, r"input 'r' is of INT64, which cannot be 0.5 \[GP441\]$"),
        ("uint8", "r", 256, r"input 'r' is of UINT8, which cannot be 256 \[GP441\]$"),
        ("bool", "r", 2, r"input 'r' is of BOOL, which cannot be 2 \[GP441\]$"),
        ("int64", "r", float("nan"), r"which cannot be nan \[GP441\]$"),
        ("float[n]", "r", 1, r"input 'r' has the open shape \[n\] \[GP442\]$"),
    ],
)
def test_what_cannot_be_fixed_is_refused(kind: str, name: str, number: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_pass(fixed(number, name), ir.from_onnx_text(TEXT.format(kind)))


def test_an_input_that_is_an_output_is_refused() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x, float r) => (float[2] y, float r) { y = Mul (x, r) }'
    )
    with pytest.raises(InputError, match=r"input 'r' is an output of the graph too \[GP443\]$"):
        run_pass(fixed(1), ir.from_onnx_text(text))


@pytest.mark.parametrize(("rate", "loud", "weight"), [(16000, 1, "w"), (16000, 0, "v"), (8000, 1, "v")])
def test_branches_that_follow_are_taken_and_only_their_weights_are_left(rate: int, loud: int, weight: str) -> None:
    model = parse(NESTED, {"w": (16, 16), "v": (16, 16)})
    assert {each.name for each in prunable_weights(model)[0]} == {"v", "w"}
    result = with_input_values(model, {"rate": rate, "loud": loud})
    assert [value.name for value in result.graph.inputs] == ["x"]
    assert [each.name for each in prunable_weights(result)[0]] == [weight]
    assert set(result.graph.initializers) == {weight}
    x = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)
    feed = {"x": x, "rate": np.array(rate), "loud": np.array([loud], bool)}
    expected = session_for(model, optimize=False).run(None, feed)
    np.testing.assert_allclose(session_for(result, optimize=False).run(None, {"x": x}), expected, rtol=1e-5, atol=1e-6)


def test_a_branch_may_decide_another_one() -> None:
    text = """g (float[2] x, int64 rate) => (float[2] y) <int64 k = {16000}> {
        same = Equal (rate, k)
        flag = If (same) <
            then_branch = a () => (bool p) { p = Constant <value = bool {1}> () },
            else_branch = b () => (bool q) { q = Constant <value = bool {0}> () }
        >
        y = If (flag) <then_branch = c () => (float[2] t) { t = Neg (x) },
                       else_branch = d () => (float[2] u) { u = Abs (x) }>
    }"""
    result = with_input_values(parse(text), {"rate": 16000})
    assert [node.op_type for node in result.graph] == ["Neg", "Identity"]


def test_without_values_the_model_stays() -> None:
    model = parse(NESTED, {"w": (16, 16), "v": (16, 16)})
    assert with_input_values(model, {}) is model
