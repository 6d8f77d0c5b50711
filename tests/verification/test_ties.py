import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.ties import Ranking, rankings
from graphprune.verification.verifier import verify
from tests.verification.tampered import Tampered

# The scores are those of x, and nearly the same again.
TEXT = """<ir_version: 10, opset_import: ["" : 20]>
g (float[2,5] x) => (int64[2,1] best) <float[1] near = {%s}> {
    again = Mul(x, near)
    scores = Concat<axis = 1>(x, again)
    best = ArgMax<axis = 1>(scores)
}"""
TOP = "k = Constant<value = int64[1] {3}>() v, best = TopK(scores, k)"


def model(near: str = "1.00001", old: str = "", new: str = "") -> ir.Model:
    text = TEXT % near
    assert not old or old in text
    return ir.from_onnx_text(text.replace(old, new) if old else text)


def other(indices: np.ndarray) -> np.ndarray:
    """The same scores, of the other half."""
    return (indices + 5) % 10


def passes(graph: ir.Model, change: object) -> bool:
    return verify(graph, Tampered(session_for(graph), lambda arrays: [change(arrays[0])])).passed  # type: ignore[operator]


def test_an_index_of_an_equally_good_score_passes_and_is_said() -> None:
    graph = model()
    report = verify(graph, Tampered(session_for(graph), lambda arrays: [other(arrays[0])]))
    assert report.passed
    assert report.warnings == ("output 'best' picks others of equally good scores than the reference",)
    assert report.outputs[0].difference.mismatches == 0


@pytest.mark.parametrize("new", ["ArgMax<axis = 1, keepdims = 0>(scores)", "ArgMin<axis = -1>(scores)"])
def test_the_attributes_of_the_operator_count(new: str) -> None:
    shape = "2" if "keepdims" in new else "2,1"
    text = (TEXT % "1.00001").replace("ArgMax<axis = 1>(scores)", new).replace("int64[2,1]", f"int64[{shape}]")
    assert passes(ir.from_onnx_text(text), other)


@pytest.mark.parametrize(
    ("body", "axis", "keepdims"),
    [
        ("r = ArgMax(x)", 0, True),
        ("r = ArgMin<axis = 1, keepdims = 0>(x)", 1, False),
        ("k = Constant<value = int64[1] {2}>() v, r = TopK(x, k)", -1, True),
        ("k = Constant<value = int64[1] {2}>() v, r = TopK<axis = 0>(x, k)", 0, True),
    ],
)
def test_the_axis_is_the_default_of_the_operator(body: str, axis: int, *, keepdims: bool) -> None:
    graph = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]> g (float[2,5] x) => (int64 r) {{ {body} }}')
    found = rankings(graph)["r"]
    assert isinstance(found, Ranking)
    assert (found.axis, found.keepdims, found.is_list) == (axis, keepdims, "TopK" in body)


def test_a_cast_index_is_one() -> None:
    text = (TEXT % "1.00001").replace(
        "best = ArgMax<axis = 1>(scores)", "i = ArgMax<axis = 1>(scores) best = Cast<to = 6>(i)"
    )
    assert passes(ir.from_onnx_text(text.replace("int64[2,1]", "int32[2,1]")), other)


def test_a_score_that_is_an_input_is_one() -> None:
    graph = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 20]>
        g (float[2,3] x) => (int64[1,3] best, float[2,3] y) { best = ArgMax(x) y = Neg(x) }"""
    )
    report = verify(graph, Tampered(session_for(graph), lambda arrays: [1 - arrays[0], arrays[1]]))
    assert not report.passed


@pytest.mark.parametrize(
    ("near", "change"),
    [
        ("1.01", other),
        ("1.0005", other),
        ("1.00001", lambda indices: (indices + 1) % 10),
        ("1.00001", lambda indices: indices + 50),
    ],
)
def test_another_index_does_not(near: str, change: object) -> None:
    assert not passes(model(near), change)


def test_integers_have_no_ties() -> None:
    text = (
        (TEXT % "1")
        .replace("best =", "whole = Cast<to = 7>(scores) best =")
        .replace("ArgMax<axis = 1>(scores)", "ArgMax<axis = 1>(whole)")
    )
    assert not passes(ir.from_onnx_text(text), other)


def test_the_best_of_a_list_may_change_places_but_not_come_twice() -> None:
    graph = model("1.00001", "best = ArgMax<axis = 1>(scores)", TOP)
    graph = ir.from_onnx_text(
        (TEXT % "1.00001").replace("best = ArgMax<axis = 1>(scores)", TOP).replace("int64[2,1]", "int64[2,3]")
    )
    assert passes(graph, lambda indices: indices[:, [1, 0, 2]])
    assert not passes(graph, lambda indices: indices[:, [0, 0, 2]])
    assert not passes(graph, lambda indices: indices[:, [2, 1, 0]])


BOXES = """<ir_version: 10, opset_import: ["" : 20]>
g (float[1,2,3] scores) => (int64[n,3] kept) <
    float[1,3,4] boxes = {0,0,1,1, 5,5,6,6, 8,8,9,9}, int64 most = {3}, float overlap = {0.5}, float least = {-9.0}> {
    near = Identity(scores)
    kept = NonMaxSuppression(boxes, near, most, overlap, least) }"""
SCORES = np.array([[[0.5, 0.500001, 0.3], [0.9, 0.1, 0.2]]], np.float32)


@pytest.mark.parametrize(
    ("order", "is_tie"),
    [
        ([1, 0, 2, 3, 4, 5], True),
        ([0, 2, 1, 3, 4, 5], False),  # of other scores
        ([0, 1, 2, 3, 5, 4], False),
        ([3, 4, 5, 0, 1, 2], False),  # of other classes
        ([0, 0, 2, 3, 4, 5], False),  # one twice
        ([0, 1, 2, 3, 4], False),
    ],
)
def test_boxes_of_equally_good_scores_may_change_places(order: list[int], is_tie: bool) -> None:  # noqa: FBT001 - a case
    graph = ir.from_onnx_text(BOXES)
    changed = Tampered(session_for(graph), lambda arrays: [arrays[0][order]])
    assert verify(graph, changed, samples=[{"scores": SCORES}]).passed is is_tie


def test_the_tolerance_that_is_given_counts() -> None:
    graph = model("1.01")
    changed = Tampered(session_for(graph), lambda arrays: [other(arrays[0])])
    assert verify(graph, changed, rtol=0.02).passed
    assert not verify(model(), Tampered(session_for(model()), changed.change), rtol=0.0, atol=0.0).passed


def test_of_a_session_no_scores_are_known() -> None:
    session = session_for(model())
    assert not verify(session, Tampered(session, lambda arrays: [other(arrays[0])])).passed


def test_other_outputs_are_no_rankings() -> None:
    assert rankings(None) == {}
    assert rankings(model("1", "best = ArgMax<axis = 1>(scores)", "best = Cast<to = 7>(scores)")) == {}
