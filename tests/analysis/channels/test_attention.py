"""Attention as one operator: heads are channels, and what gives the scale stays."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.analysis.channels import channel_groups
from tests.analysis.channels.masking import check_constants, check_fold, check_zero_where_read
from tests.analysis.channels.test_groups import analyse, model_of, slices


def flat(queries: int, keys: int, *, attributes: str = "", mask: str = "") -> str:
    """Return attention with heads of 4 queries and keys, and 2 values, along the last axis."""
    inputs = "q, k, v" + (", wm" if mask else "")
    return f"""main (float[1,5,12] x, float[12,{4 * queries}] wq, float[{4 * queries}] wb, float[12,{4 * keys}] wk,
        float[12,{2 * keys}] wv, float[{2 * queries},12] wo{f", {mask} wm" if mask else ""}) => (float[1,5,12] y) {{
        q0 = MatMul (x, wq) q = Add (q0, wb) k = MatMul (x, wk) v = MatMul (x, wv)
        a = Attention <q_num_heads = {queries}, kv_num_heads = {keys}{attributes}> ({inputs}) y = MatMul (a, wo) }}"""


def by_head(attributes: str = "", middle: str = "") -> str:
    """Return attention with an axis of 6 heads, projected by weights that have it too."""
    return f"""main (float[1,5,12] x, float[12,6,4] wq, float[12,3,4] wk, float[12,3,2] wv, float[6,2,12] wo)
        => (float[1,5,12] y) {{
        q = Einsum <equation = "bsd,dhk->bhsk"> (x, wq) k = Einsum <equation = "bsd,dhk->bhsk"> (x, wk)
        v = Einsum <equation = "bsd,dhk->bhsk"> (x, wv) {middle} a = Attention {attributes} (q, k, v)
        y = Einsum <equation = "bhsk,hkd->bsd"> (a, wo) }}"""


HEADS = {
    "heads": flat(3, 3),
    "shared keys": flat(6, 3),
    "causal": flat(3, 3, attributes=", is_causal = 1, softcap = 2.0"),
    "a mask": flat(3, 3, mask="float[5,5]"),
    "a bias for each head": flat(6, 3, mask="float[6,5,5]"),
    "a bias for each head in a batch": flat(6, 3, mask="float[1,6,5,5]"),
    "one bias for all heads": flat(6, 3, mask="float[1,1,5,5]"),
    "a given scale": flat(6, 3, attributes=", scale = 0.3"),
    "an axis of heads": by_head(),
    "an axis of heads and a given scale": by_head("<scale = 0.3>"),
}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("text", HEADS.values(), ids=HEADS)
def test_heads(text: str, opset: int) -> None:
    model = model_of(text, opset)
    groups, _ = channel_groups(model)
    assert (groups[0].name, groups[0].size) == ("wq", 3)
    for seed in range(3):
        check_zero_where_read(model, groups, seed)
        check_fold(model, groups, seed)


def test_an_axis_of_heads_leaves_what_is_in_them_apart() -> None:
    """The head size of queries and keys gives the scale where none is written."""
    for attributes, sizes in (("", {"wq": 3, "wv": 2}), ("<scale = 0.3>", {"wq": 3, "wq[2]": 4, "wv": 2})):
        groups, _ = channel_groups(model_of(by_head(attributes), 23))
        assert {group.name: group.size for group in groups} == sizes


def test_the_heads_of_queries_go_with_their_key() -> None:
    (group,), _ = analyse(flat(6, 3, mask="float[6,5,5]"), 23)
    queries = "0+3x8+8x1"
    assert slices(group) == {
        "producers": {f"wq[:, {queries}]", "wk[:, 0+3x4+4x1]", "wv[:, 0+3x2+2x1]"},
        "carriers": {f"wb[{queries}]"},
        "readers": {"wo[0+3x4+4x1]"},
        "companions": {"wm[0+3x2+2x1]"},
    }


def test_attributes_count_what_is_left() -> None:
    model = model_of(flat(6, 3), 23)
    folded = check_fold(model, channel_groups(model)[0], seed=1)
    node = next(node for node in folded.graph if node.op_type == "Attention")
    keys = node.attributes["kv_num_heads"].as_int()
    assert keys < 3
    assert node.attributes["q_num_heads"].as_int() == 2 * keys
    assert isinstance(node.inputs[0], ir.Value)
    assert node.inputs[0].shape == ir.Shape([1, 5, 8 * keys])


def test_queries_of_one_key_go_alone_but_are_not_zero() -> None:
    (group,), skips = analyse(flat(6, 1), 23)
    assert (group.name, group.size, group.zero_where_read) == ("wq", 6, False)
    assert {skip.node for skip in skips} == {"wk", "wv", "wo"}


def test_what_is_in_one_head() -> None:
    """The sizes of heads follow from the operands, but the scale may too."""
    for attributes, names in (("", ["wv"]), (", scale = 0.3", ["wq", "wv"])):
        model = model_of(flat(1, 1, attributes=attributes), 23)
        groups, skips = channel_groups(model)
        assert [group.name for group in groups] == names
        assert {(skip.code, skip.node) for skip in skips} >= (
            {("GP373", "wq"), ("GP373", "wk")} if not attributes else set()
        )
        check_zero_where_read(model, groups)
        check_fold(model, groups)


BLOCKED = {
    "a cache": ("y, pk, pv = Attention (q, k, v, , c, c)", "GP375", "earlier calls"),
    "keys that are given on": ("a, pk = Attention (q, k, v) y = Add (a, pk)", "GP375", "to other nodes"),
    "a mask of the input for each head": ("y = Attention (q, k, v, m)", "GP374", "meets operand 1"),
    "keys of the input": ("y = Attention (q, c, v)", "GP374", "meets operand 1"),
    "values of the input": ("y = Attention (q, k, c)", "GP374", "meets operand 1"),
}


@pytest.mark.parametrize(("body", "code", "reason"), BLOCKED.values(), ids=BLOCKED)
def test_blocked(body: str, code: str, reason: str) -> None:
    groups, skips = analyse(
        f"""main (float[1,12,5,1] x, float[1,3,5,4] c, float[1,3,5,5] m, float[3,12,1,1] wq, float[3,12,1,1] wk,
        float[3,12,1,1] wv, float[4] ws, float[4,2] wo) => (float[1,3,5,2] z) {{
        q0 = Conv (x, wq) k0 = Conv (x, wk) v0 = Conv (x, wv) q = Mul (q0, ws) k = Mul (k0, ws) v = Mul (v0, ws)
        {body} z = MatMul (y, wo) }}""",
        23,
    )
    assert "wq" not in {group.name for group in groups}
    found = {skip.node: skip for skip in skips}
    assert found["wq"].code == code
    assert reason in found["wq"].reason


def test_heads_that_are_not_counted() -> None:
    model = model_of(flat(3, 3), 23)
    del next(node for node in model.graph if node.op_type == "Attention").attributes["kv_num_heads"]
    groups, skips = channel_groups(model)
    assert groups == []
    assert {(skip.code, skip.node) for skip in skips} >= {("GP372", "wq"), ("GP372", "wk"), ("GP372", "wv")}


def test_channels_along_positions() -> None:
    """Found where a product turns channels into positions: a masked position is attended to as any other."""
    groups, skips = analyse(
        """main (float[1,12,4] x, float[6,12] wa, float[4,4] wo) => (float[1,6,4] y) {
        h = MatMul (wa, x) a = Attention <q_num_heads = 2, kv_num_heads = 2> (h, h, h) y = MatMul (a, wo) }""",
        23,
    )
    assert groups == []
    assert ("GP373", "wa") in {(skip.code, skip.node) for skip in skips}


def test_heads_behind_a_bias_that_took_constants_up() -> None:
    """Found by random graphs: the heads are counted where the operand still is what it was."""
    model = model_of(
        """main (float[2,4,3] x, float[3,3] wa, float[3] wb, float[3,2] wq, float[3,2] wk, float[3,2] wv, float[2,2] wo)
        => (float[2,4,2] y) {
        p = MatMul (x, wa) t = Add (p, wb) q = MatMul (t, wq) k = MatMul (t, wk) v = MatMul (t, wv)
        a = Attention <q_num_heads = 2, kv_num_heads = 2> (q, k, v) y = MatMul (a, wo) }""",
        23,
    )
    groups, _ = channel_groups(model)
    assert {group.name: group.size for group in groups} == {"wa": 3, "wq": 2}
    for seed in range(3):
        check_constants(model, groups, seed)
