"""FoldConstants: what folds, what stays on purpose, what is refused, and random graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.passes.base import run_pass
from graphprune.passes.fold_constants import FoldConstants
from graphprune.testing.check_pass import check_pass
from tests.weighted import inferred_model

HEADER = '<ir_version: 10, opset_import: ["" : 18, "other" : 1]>'


def read(text: str) -> ir.Model:
    return ir.from_onnx_text(HEADER + text)


def graph(body: str, x: str = "float[2,3] x", y: str = "float[2,3] y", constants: str = "") -> ir.Model:
    return read(f"g ({x}) => ({y}) {f'<{constants}>' if constants else ''} {{ {body} }}")


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_a_chain_of_shapes_becomes_one_initializer() -> None:
    body = """
        s = Shape (x) i = Constant <value_int = 0> () d = Gather (s, i) u = Constant <value_ints = [0]> ()
        e = Unsqueeze (d, u) r = Constant <value_ints = [-1]> () t = Concat <axis = 0> (e, r) y = Reshape (x, t)
    """
    result = check_pass(FoldConstants(), graph(body, y="float[2,3] y"))
    assert operators(result.model) == ["Reshape"]
    assert list(result.model.graph.initializers) == ["t"]
    assert {rewrite.rule for rewrite in result.rewrites} == {"constant"}


def test_shapes_that_folding_makes_static_are_folded_in_turn() -> None:
    body = """
        s = Shape (x) two = Constant <value_int = 2> () n = Mul (s, two) t = Tile (x, two_ones) f = Shape (t)
        k = ConstantOfShape <value = float[1] {1.5}> (f) y = Add (t, k)
    """.replace("two_ones", "n")
    result = check_pass(FoldConstants(), graph(body, y="float[a,b] y"))
    assert operators(result.model) == ["Tile", "Add"]
    assert list(result.model.graph.initializers) == ["n", "k"]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [("", [2, 3, 4]), ("<start = 1>", [3, 4]), ("<start = -2, end = -1>", [3]), ("<end = 9>", [2, 3, 4])],
)
def test_shape_reads_its_attributes(attributes: str, expected: list[int]) -> None:
    model = graph(f"s = Shape {attributes} (x) y = Identity (s)", "float[2,3,4] x", "int64[n] y")
    result = check_pass(FoldConstants(), model)
    assert result.model.graph.initializers["s"].const_value.numpy().tolist() == expected  # type: ignore[union-attr]


def test_a_static_part_of_an_open_shape_folds() -> None:
    model = graph("s = Shape <start = 1> (x) z = Size (x) y = Add (s, z)", "float[n,3] x", "int64[1] y")
    result = check_pass(FoldConstants(), model)
    assert operators(result.model) == ["Size", "Add"]


def test_size_folds() -> None:
    result = check_pass(FoldConstants(), graph("s = Size (x) y = Identity (s)", "float[2,3] x", "int64 y"))
    assert result.model.graph.initializers["s"].const_value.numpy() == 6  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("k = Constant <value = float[1] {2}> () y = Mul (x, k)", ""),
        ("k = Constant <value_float = 2.0> () y = Mul (x, k)", ""),
        ("k = Constant <value_floats = [2.0]> () y = Mul (x, k)", ""),
        ("k = Sqrt (c) y = Mul (x, k)", "float[3] c = {1, 4, 9}"),
        ("a, k = Split <num_outputs = 2> (c) y = Mul (x, k)", "float[2] c = {1, 4}"),
        ("i = Cast <to = 7> (c) j = Cast <to = 1> (i) y = Mul (x, j)", "float[1] c = {1.5}"),
        ("r = Range (p, q, o) f = Cast <to = 1> (r) y = Mul (x, f)", "int64 p = {0}, int64 q = {3}, int64 o = {1}"),
        ("k = Clip (c, , m) y = Mul (x, k)", "float[3] c = {1, 4, 9}, float m = {5}"),
    ],
)
def test_what_depends_on_constants_alone_folds(body: str, constants: str) -> None:
    result = check_pass(FoldConstants(), graph(body, constants=constants))
    assert operators(result.model) == ["Mul"]
    assert len(result.model.graph.initializers) == 1


def test_a_constant_of_shape_that_is_a_weight_folds_whatever_its_size() -> None:
    body = "w = ConstantOfShape <value = float[1] {0.5}> (s) y = Conv (x, w)"
    model = graph(body, "float[1,3,8,8] x", "float[1,4,6,6] y", "int64[4] s = {4,3,3,3}")
    result = check_pass(FoldConstants(size_limit=10), model)
    assert list(result.model.graph.initializers) == ["w"]
    assert result.model.graph.initializers["w"].shape == ir.Shape([4, 3, 3, 3])


@pytest.mark.parametrize(
    "path", ["t = Transpose (w)", "r = Reshape (w, s) t = Transpose (r)", "r = Identity (w) t = Transpose (r)"]
)
def test_a_weight_keeps_its_name_on_the_way_to_its_operand(path: str) -> None:
    constants = "float[3,3] w = {1,2,3,4,5,6,7,8,9}, int64[2] s = {3,3}"
    model = graph(f"{path} y = MatMul (x, t)", constants=constants)
    result = check_pass(FoldConstants(), model)
    assert not result.changed
    assert "w" in result.model.graph.initializers


@pytest.mark.parametrize(
    "body",
    [
        "k = RandomNormal <shape = [3]> () y = Mul (x, k)",
        "k = DequantizeLinear (q, c, z) y = Mul (x, k)",
        "k = other.Thing (c) y = Mul (x, k)",
        "k = Relu (over) y = Mul (x, k)",
    ],
)
def test_random_quantization_functions_and_overridable_defaults_stay(body: str) -> None:
    text = f"""g (float[2,3] x, float[3] over) => (float[2,3] y) <
        float c = {{2}}, int8[3] q = {{1, 2, 3}}, int8 z = {{1}}, float[3] over = {{1, 2, 3}}> {{ {body} }}
    <domain: "other", opset_import: ["" : 18]>
    Thing (a) => (b) {{ k = Constant <value_float = 2.0> () b = Mul (a, k) }}"""
    model = read(text)
    result = run_pass(FoldConstants(), model)
    assert not result.changed
    assert result.skips == ()


def test_it_folds_inside_a_branch() -> None:
    text = """g (float[2,3] x, bool c) => (float[2,3] y) <float[3] w = {1, 4, 9}> {
        y = If (c) <
            then_branch = t () => (float[2,3] p) { k = Sqrt (w) p = Mul (x, k) },
            else_branch = e () => (float[2,3] q) { n = Constant <value_float = 3.0> () q = Mul (x, n) }
        >
    }"""
    x = np.ones((2, 3), np.float32)
    result = check_pass(FoldConstants(), read(text), cases=[{"x": x, "c": np.asarray(flag)} for flag in (True, False)])
    branches = [attribute.as_graph() for attribute in result.model.graph[0].attributes.values()]
    assert sorted(len(branch) for branch in branches) == [1, 1]
    assert sorted(name for branch in branches for name in branch.initializers) == ["k", "n"]


def test_what_only_the_folded_nodes_read_goes_with_them() -> None:
    body = "r = Relu (x) s = Shape (r) k = Cast <to = 1> (s) t = ReduceSum (k) y = Mul (x, t)"
    result = check_pass(FoldConstants(), graph(body))
    assert operators(result.model) == ["Mul"]
    assert list(result.model.graph.initializers) == ["t"]


def test_an_initializer_that_others_read_stays() -> None:
    result = check_pass(FoldConstants(), graph("k = Sqrt (c) a = Mul (x, k) y = Add (a, c)", constants="float c = {4}"))
    assert sorted(result.model.graph.initializers) == ["c", "k"]


def test_the_tensor_of_a_constant_is_not_renamed_in_the_input() -> None:
    model = graph("k = Constant <value = float[1] {2}> () y = Mul (x, k)")
    tensor = model.graph[0].attributes["value"].as_tensor()
    before = tensor.name
    run_pass(FoldConstants(), model)
    assert tensor.name == before


def test_what_cannot_be_evaluated_is_refused() -> None:
    model = graph("k = Gather (c, i) y = Mul (x, k)", constants="float[3] c = {1,2,3}, int64[1] i = {7}")
    result = run_pass(FoldConstants(), model)
    assert not result.changed
    assert [skip.code for skip in result.skips] == ["GP221"]
    assert "onnx cannot evaluate it" in result.skips[0].reason


def test_a_sequence_is_refused() -> None:
    body = "q = SequenceConstruct (c, c) k = ConcatFromSequence <axis = 0> (q) y = Mul (x, k)"
    result = check_pass(FoldConstants(), graph(body, "float[2,6] x", "float[2,6] y", "float[3] c = {1,2,3}"))
    assert [skip.code for skip in result.skips] == ["GP221"]
    assert result.skips[0].reason == "onnx evaluates it to a list, expected a tensor"


def test_a_large_result_is_refused_before_it_is_computed() -> None:
    body = "k = Expand (c, s) r = ReduceMean <keepdims = 0> (k) y = Mul (x, r)"
    model = graph(body, constants="float c = {2}, int64[2] s = {1048576, 1048576}")
    result = run_pass(FoldConstants(), model)
    assert [skip.code for skip in result.skips] == ["GP222"]
    assert "takes 4398046511104 bytes, more than 1048576" in result.skips[0].reason


def test_the_limit_can_be_set() -> None:
    model = graph("k = Expand (c, s) y = Mul (x, k)", constants="float c = {4}, int64[2] s = {2, 3}")
    assert [skip.code for skip in check_pass(FoldConstants(size_limit=23), model).skips] == ["GP222"]
    assert check_pass(FoldConstants(size_limit=24), model).changed


def test_an_output_of_the_graph_is_refused() -> None:
    model = graph("k = Sqrt (c) y = Mul (x, k)", y="float[2,3] y, float[3] k", constants="float[3] c = {1, 4, 9}")
    result = check_pass(FoldConstants(), model)
    assert [skip.code for skip in result.skips] == ["GP223"]


def test_a_limit_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match=r"fold-constants: size_limit is -1, expected at least 0 \[GP224\]"):
        FoldConstants(size_limit=-1)


_UNARY = ["Neg", "Abs", "Relu", "Sigmoid", "Floor"]
_BINARY = ["Add", "Sub", "Mul", "Max"]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_random_graphs_fold_to_the_same_function(data: st.DataObject) -> None:
    names = ["x", "c", "d"]
    lines = []
    for index in range(data.draw(st.integers(1, 8))):
        operator = data.draw(st.sampled_from(_UNARY + _BINARY))
        count = 1 if operator in _UNARY else 2
        operands = [data.draw(st.sampled_from(names)) for _ in range(count)]
        lines.append(f"v{index} = {operator} ({', '.join(operands)})")
        names.append(f"v{index}")
    body = " ".join([*lines, f"y = Add (x, {names[-1]})"])
    constants = "float[3] c = {1.5, -2, 0.25}, float[2,1] d = {-1, 3}"
    result = check_pass(FoldConstants(), graph(body, constants=constants), cases=1)
    depends = {"x"}
    for node in result.model.graph:
        assert any(value is not None and value.name in depends for value in node.inputs)
        depends |= {str(value.name) for value in node.outputs}


def test_what_does_not_grow_may_be_of_any_size() -> None:
    text = """main (float[5,1,4] x, float[1,8,4] w1, float[1,8,4] w2, float[1,16,4] w) => (float[5,1,1,4] y) {
        joined = Concat <axis = 1> (w1, w2) y, h, c = LSTM <hidden_size = 4> (x, joined, w) }"""
    result = check_pass(FoldConstants(size_limit=0), inferred_model(text))
    assert [node.op_type for node in result.model.graph] == ["LSTM"]
    assert "joined" in result.model.graph.initializers
