"""RemoveIdentities: each rule, what looks like it but is not, each refusal."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.passes.base import run_pass
from graphprune.passes.remove_identities import RemoveIdentities
from graphprune.testing.check_pass import check_pass

HEADER = '<ir_version: 10, opset_import: ["" : 18, "other" : 1]>'
CONSTANTS = """int64[2] same = {2, 3}, int64[2] ones = {1, 1}, int64[2] turned = {3, 2}, bool no = {0}, bool yes = {1},
    float[3] c = {1, 2, 3}, float half = {0.5}, float[2,0] none = {}, float[0,3] no_rows = {}"""


def graph(body: str, x: str = "float[2,3] x", y: str = "float[2,3] y") -> ir.Model:
    return ir.from_onnx_text(f"{HEADER} g ({x}) => ({y}) <{CONSTANTS}> {{ {body} }}")


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize(
    "identity",
    [
        "Identity (a)",
        "Dropout (a)",
        "Dropout <seed = 3> (a, half)",
        "Dropout (a, , no)",
        "Cast <to = 1> (a)",
        "Reshape (a, same)",
        "Flatten (a)",
        "Expand (a, ones)",
        "Tile (a, ones)",
        "Transpose <perm = [0, 1]> (a)",
        "Concat <axis = 1> (a)",
        "Concat <axis = 1> (a, none)",
        "Concat <axis = -1> (none, a, none)",
        "Concat <axis = 0> (no_rows, a)",
    ],
)
def test_it_removes(identity: str) -> None:
    model = graph(f"a = Neg (x) i = {identity} y = Relu (i)")
    result = check_pass(RemoveIdentities(), model)
    assert operators(result.model) == ["Neg", "Relu"]
    assert len(result.rewrites) == 1


@pytest.mark.parametrize(
    ("other", "y"),
    [
        ("Cast <to = 11> (a)", "double[n,m] y"),
        ("Reshape (a, turned)", "float[n,m] y"),
        ("Flatten <axis = 0> (a)", "float[n,m] y"),
        ("Expand (c, same)", "float[n,m] y"),
        ("Tile (a, turned)", "float[n,m] y"),
        ("Transpose (a)", "float[n,m] y"),
        ("Transpose <perm = [1, 0]> (a)", "float[n,m] y"),
        ("Concat <axis = 1> (a, a)", "float[n,m] y"),
    ],
)
def test_what_changes_type_shape_or_order_stays(other: str, y: str) -> None:
    result = check_pass(RemoveIdentities(), graph(f"a = Neg (x) i = {other} y = Abs (i)", y=y))
    assert not result.changed
    assert result.skips == ()


def test_a_concat_of_one_part_without_elements_goes() -> None:
    model = graph("a = Abs (x) i = Concat <axis = 1> (a) y = Neg (i)", "float[2,0] x", "float[n,m] y")
    result = check_pass(RemoveIdentities(), model)
    assert operators(result.model) == ["Abs", "Neg"]


@pytest.mark.parametrize("parts", ["none, none", "a, a, none"])
def test_a_concat_of_no_part_or_of_two_stays(parts: str) -> None:
    y = "float[n,m] y"
    assert not check_pass(
        RemoveIdentities(), graph(f"a = Neg (x) i = Concat <axis = 1> ({parts}) y = Abs (i)", y=y)
    ).changed


def test_a_reshape_of_an_open_shape_stays() -> None:
    assert not check_pass(
        RemoveIdentities(), graph("y = Reshape (x, same)", "float[n,k] x"), cases=[{"x": np.ones((2, 3), np.float32)}]
    ).changed


def test_the_output_keeps_its_name_and_its_declared_shape() -> None:
    result = check_pass(
        RemoveIdentities(), graph("a = Neg (x) b = Relu (a) y = Identity (a)", y="float[2,3] y, float[2,3] b")
    )
    assert [str(value.name) for value in result.model.graph.outputs] == ["y", "b"]
    assert operators(result.model) == ["Neg", "Relu"]


def test_a_chain_vanishes() -> None:
    result = check_pass(RemoveIdentities(), graph("a = Neg (x) b = Identity (a) d = Identity (b) y = Identity (d)"))
    assert operators(result.model) == ["Neg"]
    assert len(result.rewrites) == 3


def test_a_tied_weight_is_read_directly() -> None:
    result = check_pass(RemoveIdentities(), graph("t = Identity (c) a = Mul (x, c) y = Add (a, t)"))
    assert [str(value.name) for value in result.model.graph[1].inputs if value] == ["a", "c"]


def test_it_looks_into_branches_and_not_into_functions() -> None:
    text = f"""{HEADER} g (float[2] x, bool c) => (float[2] y) {{
        f = other.Thing (x)
        y = If (c) <
            then_branch = t () => (float[2] p) {{ k = Identity (f) p = Neg (k) }},
            else_branch = e () => (float[2] q) {{ q = Identity (f) }}
        >
    }}
    <domain: "other", opset_import: ["" : 18]>
    Thing (a) => (b) {{ k = Identity (a) b = Neg (k) }}"""
    cases = [{"x": np.ones(2, np.float32), "c": np.asarray(flag)} for flag in (True, False)]
    result = check_pass(RemoveIdentities(), text, cases=cases)
    assert [len(attribute.as_graph()) for attribute in result.model.graph[1].attributes.values()] == [1, 1]
    assert [skip.code for skip in result.skips] == ["GP225"]
    assert "'f', which comes from the graph around, is read by output 'q'" in result.skips[0].reason
    assert len(next(iter(result.model.functions.values()))) == 2


@pytest.mark.parametrize(
    ("body", "y", "reason"),
    [
        ("y = Identity (x)", "float[2,3] y", "it joins input 'x' of the graph to output 'y'"),
        ("y = Identity (c)", "float[3] y", "it joins initializer 'c' to output 'y' of the graph"),
        ("a = Neg (x) y = Identity (a)", "float[2,3] y, float[2,3] a", "'a' and 'y' are both outputs of the graph"),
    ],
)
def test_what_joins_an_output_to_a_value_with_a_name_is_refused(body: str, y: str, reason: str) -> None:
    result = check_pass(RemoveIdentities(), graph(body, y=y))
    assert not result.changed
    assert [skip.code for skip in result.skips] == ["GP225"]
    assert result.skips[0].reason.endswith(reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("i, m = Dropout (x) k = Cast <to = 1> (m) y = Mul (i, k)", "its mask is read"),
        ("i = Dropout (x, , yes) y = Neg (i)", "it is in training mode"),
        ("i = Dropout (x, , mode) y = Neg (i)", "its training mode 'mode' is known only at run time"),
    ],
)
def test_a_dropout_that_may_train_is_refused(body: str, reason: str) -> None:
    result = run_pass(RemoveIdentities(), graph(body, "float[2,3] x, bool mode"))
    assert not result.changed
    assert [skip.code for skip in result.skips] == ["GP226"]
    assert result.skips[0].reason.endswith(reason)


def test_a_dropout_of_old_opsets() -> None:
    header = '<ir_version: 7, opset_import: ["" : %d]>'
    text = header + " g (float[2] x) => (float[2] y) { a = Neg (x) i = Dropout %s (a) y = Abs (i) }"
    assert check_pass(RemoveIdentities(), text % (9, "<ratio = 0.3>")).changed
    old = run_pass(RemoveIdentities(), ir.from_onnx_text(text % (6, "<is_test = 0>")))
    assert [skip.reason for skip in old.skips] == ["node 'i' (Dropout): attribute 'is_test' is not known in opset 6"]
