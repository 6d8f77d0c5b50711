"""Operands that say which channels are taken: as they are afterwards, in the type and the form that they had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.passes.operands.folding import constant, find, folded, operators


def model(body: str, rows: int) -> str:
    return f"""main (float[2,3] x, float[3,8] wa, float[{rows},2] wb) => (float[A,2] y) {{
        h = MatMul (x, wa) {body} y = MatMul (t, wb) }}"""


def columns(*gone: int) -> dict[str, Any]:
    return {"wa": np.s_[:, list(gone)]}


def vector(name: str, values: list[int], kind: str = "int64") -> str:
    return f"{name} = Constant <value = {kind}[{len(values)}] {{{', '.join(map(str, values))}}}> () "


SUM = vector("up", [1]) + "c = ReduceSum (b, up) t = Mul (a, c)"


def test_sizes_of_parts_are_what_is_left() -> None:
    body = vector("sizes", [5, 3]) + "a, b = Split <axis = -1> (h, sizes) " + SUM
    split = find(left := folded(model(body, 5), columns(0, 3, 4)), "Split")
    assert constant(left, split, 1).tolist() == [2, 3]


def test_sizes_of_older_operator_sets_stay_an_attribute() -> None:
    body = "a, b = Split <axis = 1, split = [5, 3]> (h) c = ReduceMax <axes = [1]> (b) t = Mul (a, c)"
    split = find(folded(model(body, 5), columns(1), 12), "Split")
    assert list(split.attributes["split"].as_ints()) == [4, 3]
    assert len(split.inputs) == 1


def test_equal_parts_stay_equal() -> None:
    body = "a, b = Split <axis = 1, num_outputs = 2> (h) t = Mul (a, b)"
    split = find(folded(model(body, 4), columns(1, 2, 5, 6)), "Split")
    assert split.attributes["num_outputs"].as_int() == 2
    assert len(split.inputs) == 1


def test_parts_that_get_unequal_are_given_sizes() -> None:
    split = find(
        left := folded(model("a, b = Split <axis = 1, num_outputs = 2> (h) " + SUM, 4), columns(1, 2, 5)), "Split"
    )
    assert constant(left, split, 1).tolist() == [2, 3]
    assert "num_outputs" not in split.attributes


def test_given_sizes_that_get_equal_are_given() -> None:
    body = vector("sizes", [5, 3]) + "a, b = Split <axis = -1> (h, sizes) " + SUM
    split = find(left := folded(model(body, 5), columns(3, 4)), "Split")
    assert constant(left, split, 1).tolist() == [3, 3]


def test_a_split_along_another_axis_stays() -> None:
    body = vector("sizes", [1, 1]) + "a, b = Split (h, sizes) t = Add (a, b)"
    split = find(left := folded(model(body, 8), columns(1, 2, 5)), "Split")
    assert constant(left, split, 1).tolist() == [1, 1]


FIRST = -(1 << 31)
SLICES: dict[str, tuple[int, list[list[int]], list[int], list[list[int]]]] = {
    # the columns taken, of starts, ends, axes, steps; the channels that go; starts, ends, axes, steps afterwards
    "a range": (5, [[2], [7], [1]], [0, 3, 4], [[1], [4], [1]]),
    "from the end": (5, [[-6], [-1], [-1]], [0, 3, 7], [[1], [5], [-1]]),
    "more than the whole": (8, [[0], [9], [1]], [1], [[0], [7], [1]]),
    "the last": (1, [[7], [8], [1]], [1], [[6], [7], [1]]),
    "every second": (4, [[0], [8], [1], [2]], [0, 1, 2, 3], [[0], [3], [1], [2]]),
    "what is between": (4, [[0], [8], [1], [2]], [1, 3, 5, 7], [[0], [4], [1], [1]]),
    "one is left": (3, [[0], [8], [1], [3]], [0, 6], [[2], [3], [1], [1]]),
    "backwards": (6, [[7], [1], [1], [-1]], [3, 6], [[5], [1], [1], [-1]]),
    "backwards to the first": (8, [[-1], [-9], [1], [-1]], [3, 6], [[5], [FIRST], [1], [-1]]),
    "backwards by two": (4, [[7], [0], [1], [-2]], [0, 2, 4, 6], [[3], [FIRST], [1], [-1]]),
    "no range": (4, [[0], [8], [1], [2]], [3, 5], [[0], [4], [1], [1]]),
    "no range, backwards": (4, [[7], [0], [1], [-2]], [2, 4], [[0], [4], [1], [1]]),
    "two axes": (5, [[0, 1], [2, 6], [0, 1]], [0, 2, 7], [[0, 0], [2, 4], [0, 1]]),
    "two axes, the last first": (
        5, [[1, 0], [6, 2], [-1, 0], [1, 1]], [0, 2, 7], [[0, 0], [4, 2], [-1, 0], [1, 1]]
    ),
    "no axes": (5, [[0, 1], [2, 6]], [0, 2, 7], [[0, 0], [2, 4]]),
    "steps without axes": (5, [[0, 1], [2, 6], [], [1, 1]], [0, 2, 7], [[0, 0], [2, 4], [], [1, 1]]),
    "another axis": (8, [[0], [1], [0]], [0, 2, 7], [[0], [1], [0]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["int64", "int32"])
@pytest.mark.parametrize(("taken", "operands", "gone", "expected"), SLICES.values(), ids=SLICES)
def test_ranges_count_what_is_left(
    taken: int, operands: list[list[int]], gone: list[int], expected: list[list[int]], kind: str
) -> None:
    names = [name if values else "" for name, values in zip("ijks", operands, strict=False)]
    body = "".join(vector(name, values, kind) for name, values in zip(names, operands, strict=True) if name)
    left = folded(model(f"{body} t = Slice (h, {', '.join(names)})", taken), columns(*gone))
    node = find(left, "Slice")
    constants = {index: constant(left, node, index) for index, value in enumerate(node.inputs) if index and value}
    assert [constants[index].tolist() if index in constants else [] for index in range(1, len(node.inputs))] == expected
    assert {str(each.dtype) for each in constants.values()} == {kind}


def test_what_is_no_range_any_more_is_gathered_first() -> None:
    body = "".join(vector(*each) for each in (("i", [0]), ("j", [8]), ("k", [1]), ("s", [2])))
    left = folded(model(f"{body} t = Slice (h, i, j, k, s)", 4), columns(3, 5))
    assert operators(left) == ["MatMul", "Gather", "Slice", "MatMul"]
    gather = find(left, "Gather")
    assert gather.attributes["axis"].as_int() == 1
    assert constant(left, gather, 1).tolist() == [0, 2, 3, 4]  # of the columns 0, 1, 2, 4, 6, 7


def test_ranges_of_older_operator_sets_stay_attributes() -> None:
    body = "t = Slice <starts = [2], ends = [7], axes = [1]> (h)"
    node = find(folded(model(body, 5), columns(0, 3, 4), 9), "Slice")
    found = {name: list(each.as_ints()) for name, each in node.attributes.items()}
    assert found == {"starts": [1], "ends": [4], "axes": [1]}
    assert len(node.inputs) == 1


@pytest.mark.parametrize(
    ("indices", "gone", "expected"),
    [
        ([5, 0, 2], [1, 3], [3, 0, 1]),
        ([-1, 0], [1, 3], [5, 0]),
        ([7, 7, 4], [4, 5], [5, 5]),  # what reads the fifth alone goes too
    ],
)
@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_indices_count_what_is_left(indices: list[int], gone: list[int], expected: list[int], kind: str) -> None:
    body = vector("i", indices, kind) + "t = Gather <axis = -1> (h, i)"
    left = folded(model(body, len(indices)), columns(*gone))
    found = constant(left, find(left, "Gather"), 1)
    assert (found.tolist(), str(found.dtype)) == (expected, kind)


@pytest.mark.parametrize(
    ("indices", "gone", "expected"),
    [("2,2] {4,5,6,7}", [6, 7], [[4, 5]]), ("1,2] {4,6}", [1, 6], [[3]]), ("2,1] {4,6}", [1, 6], [[3]])],
)
def test_indices_along_several_axes_lose_what_goes(indices: str, gone: list[int], expected: list[list[int]]) -> None:
    text = f"""main (float[2,3] x, float[3,8] wa, float[{indices[2]},2] wb) => (float[2,2] y) {{
        i = Constant <value = int64[{indices}> () up = Constant <value = int64[1] {{1}}> () h = MatMul (x, wa)
        t = Gather <axis = 1> (h, i) s = MatMul (t, wb) y = ReduceSum <keepdims = 0> (s, up) }}"""
    left = folded(text, columns(*gone))
    assert constant(left, find(left, "Gather"), 1).tolist() == expected


def test_rows_of_another_axis_are_taken_as_before() -> None:
    left = folded(model(vector("i", [1, 0]) + "t = Gather <axis = 0> (h, i)", 8), columns(0, 5))
    assert constant(left, find(left, "Gather"), 1).tolist() == [1, 0]
