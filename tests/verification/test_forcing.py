"""Which integers two graphs can share, and graphs that read them."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.feeds import random_feed
from graphprune.verification.forcing import forced, forced_name, shared_integers
from graphprune.verification.intermediate import run_with_outputs
from tests.verification.integers import DYNAMIC, OPERATORS, QDQ, dynamic_constants, model


def shared(one: str, other: str) -> tuple[tuple[str, ...], set[str], int]:
    found = shared_integers(model(one), model(other))
    return found.names, set(found.outputs), found.others


@pytest.mark.parametrize("other", [QDQ, OPERATORS])
def test_the_integers_of_one_name_are_shared(other: str) -> None:
    assert shared(QDQ, other) == (("a", "e", "i"), {"y"}, 0)


def test_behind_a_value_of_another_name_nothing_is() -> None:
    renamed = QDQ.replace("e = Quant", "other = Quant").replace("Linear(e,", "Linear(other,")
    assert shared(QDQ, renamed) == (("a",), set(), 2)
    assert shared(renamed, QDQ) == (("a",), set(), 2)


def test_behind_a_value_that_only_the_candidate_rounds_nothing_is() -> None:
    twice = QDQ.replace("f = Dequ", "g = Dequ").replace(
        "[conv2]", "p = QuantizeLinear(g, sd, zd) f = DequantizeLinear(p, sd, zd) [conv2]"
    )
    assert shared(QDQ, twice) == (("a", "e"), set(), 1)


def test_what_the_candidate_does_not_round_may_be_shared() -> None:
    exact = QDQ.replace("[d5]", "[pool] j = MaxPool<kernel_shape = [1,1]>(i) [d5]").replace(
        "Linear(i, sh", "Linear(j, sh"
    )
    assert shared(QDQ, exact) == (("a", "e", "i"), {"y"}, 0)


def test_other_types_are_not_shared() -> None:
    signed = QDQ.replace("(d, sd, zd)", "(d, sd, none)").replace("(e, sd, zd)", "(e, sd, none)")
    assert shared(QDQ, signed) == (("a",), set(), 2)


def test_a_value_that_is_rounded_inside_of_a_node_is_not() -> None:
    inside = DYNAMIC.replace(", float[16,8] z", "").replace(
        "[q1] h = MatMul(x, m)", "h = com.microsoft.DynamicQuantizeMatMul(x, n, sk)"
    )
    given = dynamic_constants() | {"n": np.ones((32, 16), np.int8), "sk": np.array(0.01, np.float32)}
    graph = model(inside, given=given)
    assert shared_integers(graph, graph).names == ()


def test_a_forced_value_is_read_and_computed() -> None:
    graph = model()
    feed = random_feed(graph)
    integers = run_with_outputs(graph, {"a", "e"}, feed)
    changed = forced(graph, {"a": 4, "e": 4})
    assert [value.name for value in graph.graph.inputs] == ["x"]
    given = {forced_name("a"): np.full_like(integers["a"], 128), forced_name("e"): integers["e"]}
    found = run_with_outputs(changed, {"a", "e"}, feed | given)
    assert np.array_equal(found["a"], integers["a"])  # from x, which is as it was
    assert np.all(found["e"] == 120)  # from a, which is forced to zero
    right = session_for(graph, optimize=False).run(None, feed)[0]
    assert np.array_equal(session_for(changed, optimize=False).run(None, feed | given)[0], right)


def test_the_dynamic_form_is_forced_in_its_integers_alone() -> None:
    graph = model(DYNAMIC, given=dynamic_constants())
    assert shared_integers(graph, graph).names == ("a",)
    assert [value.name for value in forced(graph, {"a": 2}).graph.inputs] == ["x", forced_name("a")]
