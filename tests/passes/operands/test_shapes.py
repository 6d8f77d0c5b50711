"""Operands that list extents, and what is computed from extents: entries are replaced where they count channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.passes.operands.folding import constant, find, folded, operators
from tests.weighted import weight_of

HEADS = """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y) {{
    split = Constant <value = int64[3] {split}> () flat = Constant <value = int64[2] {flat}> ()
    h = MatMul (x, wa) s = Reshape (h, split) r = Relu (s) t = Reshape (r, flat) y = MatMul (t, wb) }}"""


def columns(*gone: int) -> dict[str, Any]:
    return {"wa": np.s_[:, list(gone)]}


@pytest.mark.parametrize(
    ("split", "flat", "expected"),
    [
        ("{2, 4, 2}", "{2, 8}", ([2, 3, 2], [2, 6])),
        ("{2, 4, 2}", "{2, -1}", ([2, 3, 2], [2, -1])),
        ("{2, -1, 2}", "{0, 8}", ([2, -1, 2], [0, 6])),
        ("{0, 4, -1}", "{-1, 8}", ([0, 3, -1], [-1, 6])),
    ],
)
def test_listed_extents_are_what_is_left(split: str, flat: str, expected: tuple[list[int], list[int]]) -> None:
    left = folded(HEADS.format(split=split, flat=flat), columns(2, 3))
    reshapes = [node for node in left.graph if node.op_type == "Reshape"]
    assert tuple(constant(left, node, 1).tolist() for node in reshapes) == expected


def test_an_extent_that_follows_by_itself_leaves_its_operand_alone() -> None:
    left = folded(HEADS.format(split="{2, -1, 2}", flat="{2, -1}"), columns(2, 3))
    names = [node.inputs[1].name for node in left.graph if node.op_type == "Reshape" and node.inputs[1] is not None]
    assert names == ["split", "flat"]


@pytest.mark.parametrize(("shape", "expected"), [("2] {5, 8}", [5, 6]), ("1] {8}", [6]), ("3] {4, 5, 8}", [4, 5, 6])])
def test_a_shape_to_expand_to_lists_the_last_axes(shape: str, expected: list[int]) -> None:
    text = f"""main (float[1,3] x, float[3,8] wa, float[8,2] wb) => (float y) {{
        s = Constant <value = int64[{shape}> () h = MatMul (x, wa) t = Expand (h, s) z = MatMul (t, wb)
        y = ReduceSum <keepdims = 0> (z) }}"""
    left = folded(text, columns(1, 7))
    assert constant(left, find(left, "Expand"), 1).tolist() == expected


def test_a_shape_of_ones_expands_nothing() -> None:
    text = """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[1,2,2] y) {
        s = Constant <value = int64[3] {1, 1, 1}> () h = MatMul (x, wa) t = Expand (h, s) y = MatMul (t, wb) }"""
    left = folded(text, columns(1, 7))
    assert constant(left, find(left, "Expand"), 1).tolist() == [1, 1, 1]


IMAGE = "main (float[1,3,4,4] x, float[8,3,1,1] wa, float[2,8,1,1] wb) => (float[1,2,C,D] y) {{ {} y = Conv (t, wb) }}"


@pytest.mark.parametrize(
    ("operand", "index", "expected"),
    [
        ("(h, , , s)", 3, [1, 7, 8, 8]),
        ("(h, , s)", 2, [1, 1, 2, 2]),
    ],
)
def test_sizes_of_an_image_are_what_is_left(operand: str, index: int, expected: list[int]) -> None:
    given = {3: "int64[4] {1, 8, 8, 8}", 2: "float[4] {1, 1, 2, 2}"}[index]
    left = folded(IMAGE.format(f"s = Constant <value = {given}> () h = Conv (x, wa) t = Resize {operand}"), {"wa": [3]})
    assert constant(left, find(left, "Resize"), index).tolist() == expected


COMPUTED = """main (float[N,3] x, float[3,8] wa, float[8,2] wb) => (float[N,2] y) {{
    one = Constant <value = int64[1] {{1}}> () zero = Constant <value = int64[1] {{0}}> ()
    eight = Constant <value = int64[1] {{8}}> () axis = Constant <value = int64 {{0}}> ()
    h = MatMul (x, wa) n = Shape (x) rows = Gather (n, zero) {body} y = MatMul (t, wb) }}"""


def test_a_computed_shape_is_split_into_its_entries() -> None:
    body = "s = Concat <axis = 0> (rows, one, eight) r = Reshape (h, s) z = Squeeze (r, one) t = Relu (z)"
    left = folded(COMPUTED.format(body=body), columns(1, 7))
    reshape = find(left, "Reshape")
    concat = reshape.inputs[1].producer() if reshape.inputs[1] is not None else None
    assert concat is not None
    assert concat.op_type == "Concat"
    assert concat.attributes["axis"].as_int() == 0
    names = [value.name for value in concat.inputs if value is not None]
    assert names == ["r_shape_entry", "r_shape_entry_1", "r_shape_2"]
    assert [weight_of(left, f"r_shape_{place}").tolist() for place in range(3)] == [[0], [1], [6]]


SHAPE = """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y, int64[{length}] n) {{
    i = Constant <value = int64[1] {{{index}}}> () h = MatMul (x, wa) s = Shape{attributes} (h) n = {read}
    y = MatMul (h, wb) }}"""
PICK = "Gather (s, i)"


@pytest.mark.parametrize(
    ("attributes", "read", "index", "length", "before"),
    [
        ("", PICK, 1, 1, {1: 8}),
        ("", PICK, -1, 1, {1: 8}),
        ("", "Neg (s)", 0, 2, {1: 8}),
        (" <start = 1>", PICK, 0, 1, {0: 8}),
        (" <start = -1>", PICK, 0, 1, {0: 8}),
        (" <start = -9>", PICK, 1, 1, {1: 8}),
        ("", PICK, 0, 1, {}),
        (" <end = 1>", "Neg (s)", 0, 1, {}),
        (" <start = 0, end = -1>", "Neg (s)", 0, 1, {}),
    ],
)
def test_what_is_computed_with_the_number_of_channels_goes_on_with_it(
    attributes: str, read: str, index: int, length: int, before: dict[int, int]
) -> None:
    left = folded(SHAPE.format(attributes=attributes, read=read, index=index, length=length), columns(2, 5, 6))
    assert weight_of(left, "wa").shape == (3, 5)
    kept = {name: weight_of(left, name).tolist() for name in left.graph.initializers if "_before_" in name}
    places = {int(name.removeprefix("s_before_")): values for name, values in kept.items()}
    assert {place: values[0] for place, values in places.items() if place in before} == before
    assert bool(places) == bool(before)
    assert ("Concat" in operators(left)) == bool(before)


def test_a_shape_that_is_returned_keeps_its_name_and_its_numbers() -> None:
    text = """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (int64[2] s, float[2,2] y) {
        h = MatMul (x, wa) s = Shape (h) y = MatMul (h, wb) }"""
    left = folded(text, columns(2, 5, 6))
    assert [output.name for output in left.graph.outputs] == ["s", "y"]
    assert weight_of(left, "s_before_1").tolist() == [8]
