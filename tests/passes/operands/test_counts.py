"""Attributes that count groups and heads: what they are afterwards, and where they are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.operands.folding import Zero, find, folded

GROUPED = """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[{weight}] wg, float[2,{outputs},1,1] wb)
    => (float[1,2,4,4] y) {{ h = Conv (x, wa) g = {operator} <group = {groups}> (h, wg) y = Conv (g, wb) }}"""


@pytest.mark.parametrize(
    ("operator", "weight", "groups", "gone", "left"),
    [
        ("Conv", "8,1,1,1", 8, {"wa": [1, 4, 5]}, 5),
        ("Conv", "16,1,1,1", 8, {"wa": [1, 4, 5]}, 5),
        ("Conv", "8,2,1,1", 4, {"wa": [2, 3], "wg": [2, 3]}, 3),
        ("Conv", "6,4,1,1", 2, {"wa": [1, 2, 5, 6]}, 2),  # as many of each group: groups get smaller, not fewer
        ("Conv", "4,4,1,1", 2, {"wg": [1, 3]}, 2),
        ("ConvTranspose", "8,4,1,1", 2, {"wa": [0, 1, 4, 5]}, 2),
        ("ConvTranspose", "8,3,1,1", 2, {"wg": (slice(None), [1])}, 2),
    ],
)
def test_groups_are_counted_again(operator: str, weight: str, groups: int, gone: Zero, left: int) -> None:
    first, second, *_ = map(int, weight.split(","))
    outputs = first if operator == "Conv" else groups * second
    text = GROUPED.format(operator=operator, weight=weight, groups=groups, outputs=outputs)
    (node,) = (node for node in folded(text, gone).graph if "group" in node.attributes)
    assert node.attributes["group"].as_int() == left


def test_a_convolution_of_one_group_gets_no_attribute() -> None:
    text = """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[2,8,1,1] wb) => (float[1,2,4,4] y) {
        h = Conv (x, wa) y = Conv (h, wb) }"""
    assert not any("group" in node.attributes for node in folded(text, {"wa": [1, 2, 6]}).graph)


@pytest.mark.parametrize(("groups", "gone", "left"), [(2, [4, 5, 6, 7], 1), (4, [0, 1, 6, 7], 2), (8, [5], 7)])
def test_groups_of_a_norm_go_whole(groups: int, gone: list[int], left: int) -> None:
    text = f"""main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8] ws, float[8] wt, float[2,8,1,1] wb)
        => (float[1,2,4,4] y) {{
        h = Conv (x, wa) n = GroupNormalization <num_groups = {groups}> (h, ws, wt) y = Conv (n, wb) }}"""
    node = find(folded(text, {"wa": gone, "wt": gone}, 21), "GroupNormalization")
    assert node.attributes["num_groups"].as_int() == left


FLAT = """main (float[1,5,12] x, float[12,24] wq, float[12,12] wk, float[12,6] wv, float[12,3] wo)
    => (float[1,5,3] y) { q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv)
    a = Attention <q_num_heads = 6, kv_num_heads = 3> (q, k, v) y = MatMul (a, wo) }"""


@pytest.mark.parametrize(
    ("gone", "queries", "keys"),
    [
        ({"wq": slice(8, 16), "wk": slice(4, 8), "wv": slice(2, 4)}, 4, 2),
        ({"wq": slice(8, 24), "wk": slice(4, 12), "wv": slice(2, 6)}, 2, 1),
    ],
)
def test_heads_are_counted_again(gone: dict[str, object], queries: int, keys: int) -> None:
    node = find(folded(FLAT, {name: (slice(None), index) for name, index in gone.items()}, 23), "Attention")
    counts = [node.attributes[name].as_int() for name in ("q_num_heads", "kv_num_heads")]
    assert counts == [queries, keys]


BY_HEAD = """main (float[1,5,12] x, float[12,6,4] wq, float[12,3,4] wk, float[12,3,2] wv, float[6,2,3] wo)
    => (float[1,5,3] y) {
    q = Einsum <equation = "bsd,dhk->bhsk"> (x, wq) k = Einsum <equation = "bsd,dhk->bhsk"> (x, wk)
    v = Einsum <equation = "bsd,dhk->bhsk"> (x, wv) a = Attention <q_num_heads = 6, kv_num_heads = 3> (q, k, v)
    y = Einsum <equation = "bhsk,hkd->bsd"> (a, wo) }"""


def test_heads_along_an_axis_of_their_own() -> None:
    index = np.s_[:, 1]
    node = find(folded(BY_HEAD, {"wq": np.s_[:, 2:4], "wk": index, "wv": index}, 23), "Attention")
    counts = [node.attributes[name].as_int() for name in ("q_num_heads", "kv_num_heads")]
    assert counts == [4, 2]
