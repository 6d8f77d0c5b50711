"""Channel groups of small graphs: what is tied, what is blocked and why, what is zero where it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.channels import ChannelGroup, channel_groups
from graphprune.diagnostics import Skip
from graphprune.passes.shape_inference import infer_shapes
from tests.analysis.channels.masking import check_fold, check_zero_where_read
from tests.weighted import weighted_model


def model_of(text: str, opset: int = 20) -> ir.Model:
    model = weighted_model(f'<ir_version: 10, opset_import: ["" : {opset}]>\n{text}')
    infer_shapes(model)
    return model


def analyse(text: str, opset: int = 20) -> tuple[list[ChannelGroup], list[Skip]]:
    return channel_groups(model_of(text, opset))


def slices(group: ChannelGroup) -> dict[str, set[str]]:
    kinds = ("producers", "carriers", "readers", "companions")
    return {kind: {str(each) for each in getattr(group, kind)} for kind in kinds if getattr(group, kind)}


FOLDABLE = {
    "chain": """main (float[1,3,6,6] x, float[8,3,3,3] wa, float[8] wb, float[4,8,1,1] wc) => (float[1,4,a,b] y) {
        c = Conv (x, wa, wb) r = Relu (c) y = Conv (r, wc) }""",
    "batch norm": """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8] ws, float[8] wt, float[8] wm, float[8] wvar,
        float[4,8,1,1] wc) => (float[1,4,4,4] y) {
        v = Abs (wvar) c = Conv (x, wa) n = BatchNormalization (c, ws, wt, wm, v) g = Sigmoid (n) m = Mul (n, g)
        y = Conv (m, wc) }""",
    "residual": """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8,8,3,3] wb,
        float[4,8,1,1] wc) => (float[1,4,4,4] y) {
        p = Conv (x, wa) q = Conv <pads = [1,1,1,1]> (p, wb) s = Add (p, q) r = Relu (s) y = Conv (r, wc) }""",
    "concat": """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[6,3,1,1] wb, float[4,14,1,1] wc, float[14,3,1,1] wd)
        => (float[1,4,4,4] y) {
        p = Conv (x, wa) q = Conv (x, wb) s = Concat <axis = 1> (p, q) t = Conv (x, wd) u = Add (s, t)
        y = Conv (u, wc) }""",
    "flatten": """main (float[2,3,4,4] x, float[8,3,1,1] wa, float[5,32] wb, float[5] wc,
        float[5,6] wd) => (float[2,6] y) {
        c = Conv (x, wa) p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (c) f = Flatten (p)
        g = Gemm <transB = 1> (f, wb, wc) r = Relu (g) y = MatMul (r, wd) }""",
    "flattened channels last": """main (float[2,3,2,2] x, float[8,3,1,1] wa, float[32,5] wb) => (float[2,5] y) {
        c = Conv (x, wa) t = Transpose <perm = [0,2,3,1]> (c) f = Flatten (t) y = MatMul (f, wb) }""",
    "squeeze and excite": """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[4,8,1,1] wb, float[8,4,1,1] wc,
        float[8] wd, float[2,8,1,1] we) => (float[1,2,4,4] y) {
        c = Conv (x, wa) p = GlobalAveragePool (c) s = Conv (p, wb) r = Relu (s) e = Conv (r, wc, wd) g = Sigmoid (e)
        m = Mul (c, g) y = Conv (m, we) }""",
    "transposed convolution": """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8,6,2,2] wb, float[6] wc,
        float[2,6,1,1] wd)
        => (float[1,2,a,b] y) {
        c = Conv (x, wa) t = ConvTranspose <strides = [2,2]> (c, wb, wc) y = Conv (t, wd) }""",
    "weights of a Constant node and from the left": """main (float[2,6] x, float[4,2] wa,
        float[3,4] wb) => (float[3,6] y) {
        k = Constant <value = float[4,1] {1, 2, 3, 4}> () h = MatMul (wa, x) m = Mul (h, k) r = Relu (m)
        y = MatMul (wb, r) }""",
    "a gate decomposed": """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y) {
        one = Constant <value = float[1] {1}> () h = MatMul (x, wa) n = Neg (h) e = Exp (n) d = Add (one, e)
        g = Div (h, d) y = MatMul (g, wb) }""",
    "layer scale and divisor": """main (float[2,3] x, float[3,8] wa, float[8] ws, float[8] wd, float[8,2] wb)
        => (float[2,2] y) {
        h = MatMul (x, wa) m = Mul (h, ws) d = Div (m, wd) y = MatMul (d, wb) }""",
    "sum over channels": """main (float[2,3] x, float[3,8] wa) => (float[2,1] y) {
        axes = Constant <value = int64[1] {1}> () h = MatMul (x, wa) y = ReduceSum (h, axes) }""",
    "the number of channels": """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y, float m) {
        h = MatMul (x, wa) s = Shape (h) f = Cast <to = 1> (s) n = ReduceMax <keepdims = 0> (f) t = Mul (h, n)
        m = Identity (n) y = MatMul (t, wb) }""",
    "the shape of another value": """main (float[2,8] x, float[8,8] wa, float[8,2] wb) => (float[2,8] z, float[2,2] y) {
        h = MatMul (x, wa) s = Shape (h) z = Expand (x, s) y = MatMul (h, wb) }""",
    "a shape that is returned": """main (float[2,8] x, float[8,8] wa, float[8,2] wb) => (int64[1] s, float[2,2] y) {
        h = MatMul (x, wa) s = Shape <start = -1> (h) y = MatMul (h, wb) }""",
    "attention of one head": """main (float[1,5,3] x, float[3,8] wq, float[3,8] wk, float[3,6] wv, float[6,3] wo)
        => (float[1,5,3] y) {
        q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv) t = Transpose <perm = [0,2,1]> (k) s = MatMul (q, t)
        p = Softmax (s) o = MatMul (p, v) y = MatMul (o, wo) }""",
}


@pytest.mark.parametrize("text", FOLDABLE.values(), ids=FOLDABLE)
def test_masked_is_folded(text: str) -> None:
    model = model_of(text)
    groups, _ = channel_groups(model)
    assert groups
    assert all(group.zero_where_read for group in groups)
    for seed in range(3):
        check_zero_where_read(model, groups, seed)
        check_fold(model, groups, seed)


def test_batch_norm_roles() -> None:
    (group,), skips = analyse(FOLDABLE["batch norm"])
    assert (group.name, group.size) == ("wa", 8)
    assert slices(group) == {
        "producers": {"wa[0:8]"},
        "carriers": {"ws[0:8]", "wt[0:8]"},
        "readers": {"wc[:, 0:8]"},
        "companions": {"wm[0:8]", "wvar[0:8]"},
    }
    assert [(skip.code, skip.node) for skip in skips] == [("GP370", "wc")]
    assert "4 channels" in skips[0].reason
    assert "'y'" in skips[0].reason


def test_residual_ties_producers() -> None:
    (group,), _ = analyse(FOLDABLE["residual"])
    assert slices(group) == {"producers": {"wa[0:8]", "wb[0:8]"}, "readers": {"wb[:, 0:8]", "wc[:, 0:8]"}}


def test_concat_gives_segments() -> None:
    one, other = analyse(FOLDABLE["concat"])[0]
    assert (one.name, other.name) == ("wa", "wb")
    assert slices(one) == {"producers": {"wa[0:8]", "wd[0:8]"}, "readers": {"wc[:, 0:8]"}}
    assert slices(other) == {"producers": {"wb[0:6]", "wd[8:14]"}, "readers": {"wc[:, 8:14]"}}


def test_flatten_gives_a_channel_consecutive_columns() -> None:
    first, second = analyse(FOLDABLE["flatten"])[0]
    assert (first.size, first.readers[0].start, first.readers[0].repeat) == (8, 0, 4)
    np.testing.assert_array_equal(first.readers[0].indices()[1], [4, 5, 6, 7])
    assert slices(second) == {"producers": {"wb[0:5]"}, "carriers": {"wc[0:5]"}, "readers": {"wd[0:5]"}}


def test_a_divisor_keeps_its_values() -> None:
    (group,), _ = analyse(FOLDABLE["layer scale and divisor"])
    assert slices(group)["carriers"] == {"ws[0:8]"}
    assert slices(group)["companions"] == {"wd[0:8]"}


GROUPED = {
    "depthwise": ("float[8,1,3,3] wg", 8, {"wa[0:8]"}, {"wg[0:8]"}),
    "depthwise with a multiplier": ("float[16,1,3,3] wg", 8, {"wa[0:8]"}, {"wg[0+8x2+2x1]"}),
    "two groups": ("float[6,4,3,3] wg", 2, {"wa[0+4x1+2x4]"}, set()),
    "four groups of two": ("float[8,2,3,3] wg", 4, {"wa[0+4x2+2x1]", "wg[0+4x2+2x1]"}, set()),
}


@pytest.mark.parametrize(("weight", "groups", "producers", "carriers"), GROUPED.values(), ids=GROUPED)
def test_grouped_convolutions(weight: str, groups: int, producers: set[str], carriers: set[str]) -> None:
    outputs = int(weight.removeprefix("float[").partition(",")[0])
    text = f"""main (float[1,3,4,4] x, float[8,3,1,1] wa, {weight}, float[{outputs}] wb, float[2,{outputs},1,1] wc)
        => (float[1,2,4,4] y) {{
        c = Conv (x, wa) d = Conv <group = {groups}, pads = [1,1,1,1]> (c, wg, wb) y = Conv (d, wc) }}"""
    model = model_of(text)
    found, _ = channel_groups(model)
    first = found[0]
    assert {str(each) for each in first.producers} == producers
    assert {str(each) for each in first.carriers} >= carriers
    for seed in range(3):
        check_zero_where_read(model, found, seed)


def test_groups_of_a_transposed_convolution() -> None:
    text = """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8,3,2,2] wg, float[2,6,1,1] wc) => (float[1,2,a,b] y) {
        c = Conv (x, wa) d = ConvTranspose <group = 2> (c, wg) y = Conv (d, wc) }"""
    model = model_of(text)
    one, other = channel_groups(model)[0]
    assert slices(one) == {"producers": {"wa[0+4x1+2x4]"}, "readers": {"wg[0+4x1+2x4]"}}
    assert slices(other) == {"producers": {"wg[:, 0:3]"}, "readers": {"wc[:, 0+3x1+2x3]"}}
    check_zero_where_read(model, [one, other])


HEADS = """main (float[1,5,12] x, float[12,12] wq, float[12] wb, float[12,12] wk, float[12,12] wv,
        float[12,12] wo, float[12,12] we)
    => (float[1,5,12] y) {
    shape = Constant <value = int64[4] {1, 5, 3, 4}> () flat = Constant <value = int64[3] {1, 5, 12}> ()
    q0 = MatMul (x, wq) q1 = Add (q0, wb) q2 = Reshape (q1, shape) q = Transpose <perm = [0,2,1,3]> (q2)
    k0 = MatMul (x, wk) k1 = Reshape (k0, shape) k = Transpose <perm = [0,2,3,1]> (k1)
    v0 = MatMul (x, wv) v1 = Reshape (v0, shape) v = Transpose <perm = [0,2,1,3]> (v1)
    s = MatMul (q, k) p = Softmax <axis = -1> (s) o = MatMul (p, v) o1 = Transpose <perm = [0,2,1,3]> (o)
    o2 = Reshape (o1, flat) o3 = MatMul (o2, wo) y = MatMul (o3, we) }"""


def test_heads_are_channels() -> None:
    heads, outputs = analyse(HEADS)[0]
    assert (heads.size, heads.zero_where_read) == (3, True)
    index = "0+3x4+4x1"
    assert slices(heads) == {
        "producers": {f"{name}[:, {index}]" for name in ("wq", "wk", "wv")},
        "carriers": {f"wb[{index}]"},
        "readers": {f"wo[{index}]"},
    }
    assert slices(outputs) == {"producers": {"wo[:, 0:12]"}, "readers": {"we[0:12]"}}
    check_zero_where_read(model_of(HEADS), [heads, outputs])


def test_a_shuffle_is_exact() -> None:
    text = """main (float[1,3,2,2] x, float[6,3,1,1] wa, float[4,6,1,1] wb) => (float[1,4,2,2] y) {
        split = Constant <value = int64[5] {1, 2, 3, 2, 2}> () flat = Constant <value = int64[4] {1, 6, 2, 2}> ()
        c = Conv (x, wa) s = Reshape (c, split) t = Transpose <perm = [0,2,1,3,4]> (s) f = Reshape (t, flat)
        y = Conv (f, wb) }"""
    model = model_of(text)
    (group,), _ = channel_groups(model)
    np.testing.assert_array_equal(group.producers[0].indices(), [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(group.readers[0].indices(), [[0, 1], [2, 3], [4, 5]])
    check_zero_where_read(model, [group])


def test_halves_that_meet_are_tied_and_halves_that_part_are_not() -> None:
    text = """main (float[2,3] x, float[3,8] wa, float[4,2] wb) => (float[2,2] y) {
        c = MatMul (x, wa) p, q = Split <axis = 1, num_outputs = 2> (c) g = Sigmoid (p) m = Mul (g, q)
        y = MatMul (m, wb) }"""
    (group,), _ = analyse(text)
    np.testing.assert_array_equal(group.producers[0].indices(), [[0, 4], [1, 5], [2, 6], [3, 7]])
    check_zero_where_read(model_of(text), [group])
    parted = text.replace("float[4,2] wb", "float[4,2] wb, float[4,2] wc").replace(
        "m = Mul (g, q)\n        y = MatMul (m, wb)", "r = MatMul (g, wc) s = MatMul (q, wb) y = Add (r, s)"
    )
    first, second = analyse(parted)[0]
    assert (first.name, second.name) == ("wa:0", "wa:4")
    assert (first.zero_where_read, second.zero_where_read) == (False, True)
    assert first.nonzero is not None
    assert "is 0.5 after node 'g' (Sigmoid) where node 'r' (MatMul) reads it" in first.nonzero


@pytest.mark.parametrize("operator", ["Sigmoid", "Exp", "Softplus", "Cos", "Not"])
def test_what_is_not_zero_where_it_is_read(operator: str) -> None:
    negation = "b = Cast <to = 9> (h) n = Not (b) g = Cast <to = 1> (n)"
    body = negation if operator == "Not" else f"g = {operator} (h)"
    (group,), _ = analyse(
        f"main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y) "
        f"{{ h = MatMul (x, wa) {body} y = MatMul (g, wb) }}"
    )
    assert not group.zero_where_read


@pytest.mark.parametrize(
    ("body", "zero"),
    [
        ('h1 = Pad <mode = "constant"> (h, pads) ', True),
        ('s = Sigmoid (h) h1 = Pad <mode = "edge"> (s, pads)', False),
        ("h1 = Pad (h, pads, two) ", False),
        ("s = Sub (h, two) r = Relu (s) h1 = Identity (r)", True),
        ("s = Add (h, two) t = Sub (s, two) h1 = Identity (t)", False),
        ("h1 = Clip (h, two) ", False),
        ("h1 = Max (h, two) ", False),
        ("h1 = Min (h, two) ", True),
        ("h1 = Pow (h, two) ", True),
        ("h1 = Pow (two, h) ", False),
        ("h1 = Div (two, h) ", False),
        ("c = Greater (h, two) h1 = Where (c, two, h) ", False),
        ("c = Greater (h, two) z = Mul (h, h) h1 = Where (c, z, h) ", True),
    ],
)  # fmt: skip
def test_values_of_masked_channels(body: str, zero: bool) -> None:  # noqa: FBT001
    text = f"""main (float[1,3,4,4] x, float[8,3,1,1] wa, float[2,8,1,1] wb) => (float[1,2,a,b] y) {{
        pads = Constant <value = int64[8] {{0,0,1,1,0,0,1,1}}> () two = Constant <value = float {{2}}> ()
        h = Conv (x, wa) {body} y = Conv (h1, wb) }}"""
    model = model_of(text)
    (group,), _ = channel_groups(model)
    assert group.zero_where_read is zero
    check_zero_where_read(model, [group])


BLOCKED = {
    "output": ("y = Relu (h)", "GP370"),
    "no rule": ("t = Hardmax (h) y = MatMul (t, wb)", "GP371"),
    "softmax": ("t = Softmax <axis = 1> (h) y = MatMul (t, wb)", "GP373"),
    "a norm whose scale is computed": ("s = Neg (z0) t = LayerNormalization (h, s) y = MatMul (t, wb)", "GP373"),
    "maximum": ("axes = Constant <value = int64[1] {1}> () y = ReduceMax (h, axes)", "GP373"),
    "meets an input": ("t = Add (h, z) y = MatMul (t, wb)", "GP374"),
    "joined with an input": ("t = Concat <axis = 1> (h, z) s = Add (t, t2) y = MatMul (s, wb2)", "GP374"),
    "slice at run time": ("t = Slice (h, i, j) y = Relu (t)", "GP375"),
    "indices of a table": (
        """axes = Constant <value = int64[1] {1}> () k = Cast <to = 7> (h) t = Gather (wb2, k)
        y = ReduceSum <keepdims = 0> (t, axes)""", "GP375"
    ),
    "subgraph": (
        """y = If (c) <then_branch = t () => (float[2,8] a) { a = Relu (h) },
        else_branch = e () => (float[2,8] b) { b = Identity (h) }>""", "GP376"
    ),
    "masked and divisor": ("m = Mul (h, ws) d = Div (m, ws) y = MatMul (d, wb)", "GP378"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "code"), BLOCKED.values(), ids=BLOCKED)
def test_blocked(body: str, code: str) -> None:
    groups, skips = analyse(
        "main (float[2,3] x, float[2,8] z, float[8] z0, float[2,16] t2, int64[1] i, int64[1] j, bool c, "
        "float[3,8] wa, float[8] ws, float[8,2] wb, float[16,2] wb2) "
        f"=> (float[a,b] y) {{ h = MatMul (x, wa) {body} }}".replace("float[a,b] y", "float[A,B] y")
    )
    assert "wa" not in {group.name for group in groups}
    first = next(skip for skip in skips if skip.node == "wa")
    assert first.code == code, first


def test_weights_inside_a_subgraph_are_told_of() -> None:
    groups, skips = analyse("""main (float[2,3] x, bool c, float[3,8] wa, float[8,2] wb) => (float[2,2] y) {
        y = If (c) <
            then_branch = t () => (float[2,2] a) { h = MatMul (x, wa) a = MatMul (h, wb) },
            else_branch = e () => (float[2,2] b) <float[3,2] k = {1, 2, 3, 4, 5, 6}> { b = MatMul (x, k) }
        >
    }""")
    assert groups == []
    assert {(skip.code, skip.node) for skip in skips} == {("GP376", name) for name in ("wa", "wb", "k")}


def test_channels_of_two_axes_that_are_merged() -> None:
    """Found by random graphs: removing one of each kind leaves no rectangle to merge, unless one kind stays."""
    text = """main (float[1,3,4,4] x, float[4,3,1,1] wa, float[4,6] wb, float[96,2] wc) => (float[1,2] y) {
        c = Conv (x, wa) m = MatMul (c, wb) f = Flatten (m) y = MatMul (f, wc) }"""
    model = model_of(text)
    (group,), skips = channel_groups(model)
    assert (group.name, group.readers[0].repeat) == ("wa", 24)
    assert [(skip.code, skip.node) for skip in skips] == [("GP374", "wb"), ("GP370", "wc")]
    check_zero_where_read(model, [group])
    check_fold(model, [group])


@pytest.mark.parametrize(
    "pick",
    [
        "i = Constant <value = int64[1] {2}> () j = Constant <value = int64[1] {3}> () q = Slice (h, i, j, k) ",
        "i = Constant <value = int64 {2}> () g = Gather <axis = 1> (h, i) q = Unsqueeze (g, k) ",
        "i = Constant <value = int64[3] {2, 1, 5}> () p, q, r = Split <axis = 1> (h, i)",
        "i = Constant <value = int64[2] {2, 2}> () g = Gather <axis = 1> (h, i) q = ReduceSum (g, k) ",
    ],
)
def test_one_channel_picked_alone_stays(pick: str) -> None:
    text = f"""main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y, float[2,1] q) {{
        k = Constant <value = int64[1] {{1}}> () h = MatMul (x, wa) {pick} y = MatMul (h, wb) }}"""
    groups, skips = analyse(text)
    removable = {int(c) for group in groups for c in group.producers[0].indices().reshape(-1)}
    assert removable == set(range(8)) - {2}
    assert "GP375" in {skip.code for skip in skips}


def test_a_model_without_producers_has_no_groups() -> None:
    """Found by random graphs: a depthwise convolution scales channels, and makes none."""
    assert analyse(
        "main (float[1,2,4,4] x, float[2,1,1,1] wa) => (float[1,2,4,4] y) { y = Conv <group = 2> (x, wa) }"
    ) == ([], [])


def test_an_unknown_domain_blocks() -> None:
    model = model_of(FOLDABLE["chain"])
    relu = next(node for node in model.graph if node.op_type == "Relu")
    relu.domain = "other"
    groups, skips = channel_groups(model)
    assert (groups, [skip.code for skip in skips]) == ([], ["GP371", "GP370"])


def test_an_unknown_shape_blocks() -> None:
    model = model_of(FOLDABLE["residual"])
    for node in model.graph:
        node.outputs[0].shape = None
    groups, skips = channel_groups(model)
    assert groups == []
    assert "GP372" in {skip.code for skip in skips}


def test_channels_that_are_all_tied_are_no_group() -> None:
    text = """main (float[2,3] x, float[3,8] wa, float[8,2] wb) => (float[2,2] y) {
        h = MatMul (x, wa) p, q = Split <axis = 1> (h, sizes) r = Concat <axis = 1> (q, p) s = Add (h, r)
        y = MatMul (s, wb) }"""
    sizes = "{ sizes = Constant <value = int64[2] {5, 3}> ()"
    groups, skips = analyse(text.replace(") {\n", ") " + sizes + "\n"))
    assert groups == []
    assert [skip.code for skip in skips] == ["GP377", "GP370"]


def test_shared_weights_are_tied() -> None:
    text = """main (float[2,4] x, float[4,4] wa, float[4,2] wb) => (float[2,2] y) {
        p = MatMul (x, wa) r = Relu (p) q = MatMul (r, wa) y = MatMul (q, wb) }"""
    groups, skips = analyse(text)
    assert groups == []
    assert {skip.code for skip in skips} >= {"GP374"}


def test_an_embedding_is_a_carrier() -> None:
    text = """main (int64[N,5] ids, float[20,8] wt, float[8,8] wa, float[8,2] wb) => (float[N,5,2] y) {
        e = Gather (wt, ids) h = MatMul (e, wa) s = Add (e, h) y = MatMul (s, wb) }"""
    (group,), _ = analyse(text)
    assert slices(group) == {"producers": {"wa[:, 0:8]"}, "carriers": {"wt[:, 0:8]"}, "readers": {"wa[0:8]", "wb[0:8]"}}


def test_the_factors_of_a_weight_are_masked_too() -> None:
    text = """main (float[2,3] x, float[3,8] wa, float[4,5] wp, float[5,8] wq, float[2,4] wr, float[8,2] wb)
        => (float[2,2] y) {
        h = MatMul (x, wa) a = MatMul (wr, wp) c = Gemm (a, wq, h) y = MatMul (c, wb) }"""
    model = model_of(text)
    groups, _ = channel_groups(model)
    assert {str(each) for group in groups for each in group.carriers} >= {"wq[:, 0:8]"}
    check_zero_where_read(model, groups)


def test_the_oracle_finds_wrong_groups() -> None:
    model = model_of(FOLDABLE["concat"])
    one, other = channel_groups(model)[0]
    swapped = [replace(one, readers=(replace(one.readers[0], index=other.readers[0].index),), size=6)]
    with pytest.raises(AssertionError):
        check_zero_where_read(model, swapped)
    biased = model_of(FOLDABLE["flatten"])
    first, second = channel_groups(biased)[0]
    with pytest.raises(AssertionError):
        check_zero_where_read(biased, [first, replace(second, carriers=())])
