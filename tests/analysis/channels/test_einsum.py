"""Einsum: products by letters, of weights and of activations."""

from __future__ import annotations

import pytest

from graphprune.analysis.channels import channel_groups
from tests.analysis.channels.masking import check_fold, check_zero_where_read
from tests.analysis.channels.test_groups import analyse, model_of, slices

# What follows `h` [2,3,8] of the weight `wa`, whose 8 channels are removed; the shape of the last weight, and of `y`.
PRODUCTS = {
    "a product": ('y = Einsum <equation = "bsi, io -> bso"> (h, wb)', "8,4", "A,B,C"),
    "a turned weight": ('y = Einsum <equation = "bsi,oi->obs"> (h, wb)', "4,8", "A,B,C"),
    "a weight on the left": ('y = Einsum <equation = "oi,bsi->bso"> (wb, h)', "4,8", "A,B,C"),
    "an ellipsis": ('y = Einsum <equation = "...i,io->...o"> (h, wb)', "8,4", "A,B,C"),
    "an output that is not written": ('y = Einsum <equation = "bsi,io"> (h, wb)', "8,4", "A,B,C"),
    "an ellipsis of an output that is not written": ('y = Einsum <equation = "...i,io"> (h, wb)', "8,4", "A,B,C"),
    "two letters summed": ('y = Einsum <equation = "bsi,sio->bo"> (h, wb)', "3,8,4", "A,B"),
    "a scale": ('t = Einsum <equation = "bsi,i->bsi"> (h, ws) y = MatMul (t, wb)', "8,4", "A,B,C"),
    "one operand": (
        't = Einsum <equation = "bsi->sib"> (h) y = Einsum <equation = "sib,io->bso"> (t, wb)', "8,4", "A,B,C"
    ),
    "a sum": ('t = Einsum <equation = "bsi->bs"> (h) y = MatMul (t, wb)', "3,4", "A,B"),
    "three operands": ('y = Einsum <equation = "bsi,i,io->bso"> (h, ws, wb)', "8,4", "A,B,C"),
    "products of pairs": ('t = Einsum <equation = "bsi,bti->bst"> (h, h) y = MatMul (t, wb)', "3,4", "A,B,C"),
    "all products": (
        't = Einsum <equation = "bsi,bso->bosi"> (h, z) y = Einsum <equation = "bosi,ik->bok"> (t, wb)', "8,4", "A,B,C"
    ),
    "a matrix for each channel": (
        't = Einsum <equation = "bsi,iko->biso"> (h, wm) y = Einsum <equation = "biso,io->bs"> (t, wb)', "8,4", "A,B"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "weight", "shape"), PRODUCTS.values(), ids=PRODUCTS)
def test_products(body: str, weight: str, shape: str) -> None:
    model = model_of(
        f"main (float[2,3,5] x, float[2,3,6] z, float[5,8] wa, float[8] ws, float[8,2,4] wm, float[{weight}] wb) "
        f'=> (float[{shape}] y) {{ h = Einsum <equation = "bsk,ki->bsi"> (x, wa) {body} }}'
    )
    groups, _ = channel_groups(model)
    assert (groups[0].name, groups[0].size) == ("wa", 8)
    for seed in range(2):
        check_zero_where_read(model, groups, seed)
        check_fold(model, groups, seed)


def test_roles() -> None:
    (group,), skips = analyse(
        """main (float[2,3] x, float[3,8] wa, float[8] ws, float[4,8] wb) => (float[2,4] y) {
        h = Einsum <equation = "bi,ij->bj"> (x, wa) t = Einsum <equation = "bj,j->bj"> (h, ws)
        y = Einsum <equation = "bj,oj->bo"> (t, wb) }"""
    )
    assert slices(group) == {"producers": {"wa[:, 0:8]"}, "carriers": {"ws[0:8]"}, "readers": {"wb[:, 0:8]"}}
    assert [(skip.code, skip.node) for skip in skips] == [("GP370", "wb")]


EINSUM = """main (float[2,5,6] x, float[6,3,4] wq, float[6,3,4] wk, float[6,3,4] wv, float[3,4,6] wo, float[6,8] wa,
    float[8,2] wb) => (float[2,5,2] y) {
    q = Einsum <equation = "bsd,dhk->bhsk"> (x, wq) k = Einsum <equation = "bsd,dhk->bhsk"> (x, wk)
    v = Einsum <equation = "dhk, bsd -> bhsk"> (wv, x) s = Einsum <equation = "bhqk,bhsk->bhqs"> (q, k)
    p = Softmax <axis = -1> (s) o = Einsum <equation = "bhqs,bhsk->bhqk"> (p, v) r = Transpose <perm = [0,2,1,3]> (o)
    flat = Constant <value = int64[3] {2,5,12}> () f = Reshape (r, flat)
    rows = Constant <value = int64[2] {12,6}> () w = Reshape (wo, rows) m = MatMul (f, w)
    h = Einsum <equation = "bsd,dk->bsk"> (m, wa) a = Relu (h) y = Einsum <equation = "bsk,kn->bsn"> (a, wb) }"""


def test_attention_written_with_einsum() -> None:
    model = model_of(EINSUM)
    groups, _ = channel_groups(model)
    assert {group.name: group.size for group in groups} == {"wq": 3, "wq[2]": 4, "wo": 6, "wa": 8}
    assert [str(each) for each in groups[0].producers] == ["wq[:, 0:3]", "wk[:, 0:3]", "wv[:, 0:3]"]
    assert all(group.zero_where_read for group in groups)
    for seed in range(3):
        check_zero_where_read(model, groups, seed)
        check_fold(model, groups, seed)


@pytest.mark.parametrize("equation", ["ii->i", "ii,ij->ij"])
def test_a_diagonal_blocks(equation: str) -> None:
    operands = ", ".join(["h", "z"][: equation.count(",") + 1])
    groups, skips = analyse(
        f"""main (float[8,3] x, float[8,4] z, float[3,8] wa) => (float[{"A,B"[: 2 * equation.count(",") + 1]}] y) {{
        h = MatMul (x, wa) y = Einsum <equation = "{equation}"> ({operands}) }}"""
    )
    assert groups == []
    assert [(skip.code, skip.node) for skip in skips] == [("GP375", "wa")]
    assert "takes a diagonal" in skips[0].reason


def test_a_letter_of_an_input_blocks() -> None:
    groups, skips = analyse(
        """main (float[2,3] x, float[8,4] z, float[3,8] wa) => (float[2,4] y) {
        h = MatMul (x, wa) y = Einsum <equation = "bi,io->bo"> (h, z) }"""
    )
    assert groups == []
    assert [(skip.code, skip.node) for skip in skips] == [("GP374", "wa")]
