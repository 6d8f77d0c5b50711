"""Operators that pass channels on: how many channels there are, and that they are zero where they are read."""

from __future__ import annotations

import pytest

from graphprune.analysis.channels import channel_groups
from tests.analysis.channels.masking import check_fold, check_zero_where_read
from tests.analysis.channels.test_groups import model_of

# What is between the convolution `h` [1,8,4,4] and the one that reads `t`, the latter's weight, and the channels left.
IMAGE = {
    "resize": ('t = Resize <mode = "linear"> (h, , scales)', "2,8,1,1", 8),
    "pad": ("t = Pad (h, pads)", "2,8,1,1", 8),
    "average pool": (
        "t = AveragePool <kernel_shape = [2,2], pads = [1,1,1,1], count_include_pad = 1> (h)", "2,8,1,1", 8
    ),
    "max pool": ("t = MaxPool <kernel_shape = [3,3]> (h)", "2,8,1,1", 8),
    "global max pool": ("t = GlobalMaxPool (h)", "2,8,1,1", 8),
    "leaky relu by channel": ("t = PRelu (h, ws)", "2,8,1,1", 8),
    "instance norm": ("t = InstanceNormalization (h, wv, wu)", "2,8,1,1", 8),
    "clip": (
        "a = Constant <value = float {0}> () b = Constant <value = float {6}> () t = Clip (h, a, b)", "2,8,1,1", 8
    ),
    "depth to space": ("t = DepthToSpace <blocksize = 2> (h)", "2,2,1,1", 2),
    "depth to space, columns first": ('t = DepthToSpace <blocksize = 2, mode = "CRD"> (h)', "2,2,1,1", 2),
    "space to depth": ("t = SpaceToDepth <blocksize = 2> (h)", "2,32,1,1", 8),
    "tile": ("t = Tile (h, repeats)", "2,16,1,1", 8),
    "expand": ("g = GlobalAveragePool (h) t = Expand (g, shape)", "2,8,1,1", 8),
    "split": ("a, b = Split <axis = 1, num_outputs = 2> (h) t = Mul (a, b)", "2,4,1,1", 4),
    "strided slice": ("t = Slice (h, i0, i8, i1, i2)", "2,4,1,1", 8),
    "reversed": ("t = Slice (h, last, first, i1, back)", "2,8,1,1", 8),
    "gather": ("t = Gather <axis = 1> (h, picks)", "2,3,1,1", 8),
    "rolled": (
        "a = Slice (h, i0, i2, i1) b = Slice (h, i2, i8, i1) r = Concat <axis = 1> (b, a) t = Add (h, r)", "2,8,1,1", 2
    ),
    "dropout": ("t = Dropout (h)", "2,8,1,1", 8),
    "shape for a shape": ("n = Shape (h) t = Reshape (h, n)", "2,8,1,1", 8),
    "group norm of single channels": ("t = GroupNormalization <num_groups = 8> (h, wv, wu)", "2,8,1,1", 8),
    "group norm": ("t = GroupNormalization <num_groups = 2> (h, wv, wu)", "2,8,1,1", 2),
    "sum of squares over positions": ("t = ReduceSumSquare (h, places)", "2,8,1,1", 8),
    "mean over positions": ("t = ReduceMean (h, places)", "2,8,1,1", 8),
    "running sum over positions": ("t = CumSum (h, i2)", "2,8,1,1", 8),
}  # fmt: skip


@pytest.mark.parametrize(("body", "weight", "channels"), IMAGE.values(), ids=IMAGE)
def test_images(body: str, weight: str, channels: int) -> None:
    constants = {
        "pads": "int64[8] {0,0,1,1,0,0,1,1}", "repeats": "int64[4] {1,2,1,1}", "shape": "int64[4] {1,8,4,4}",
        "scales": "float[4] {1,1,2,2}", "picks": "int64[3] {5,0,2}", "places": "int64[2] {2,3}",
        "last": "int64[1] {-1}", "first": "int64[1] {-9223372036854775807}", "back": "int64[1] {-1}",
        **{f"i{each}": f"int64[1] {{{each}}}" for each in (0, 1, 2, 8)},
    }  # fmt: skip
    written = " ".join(f"{name} = Constant <value = {value}> ()" for name, value in constants.items())
    model = model_of(
        f"main (float[1,3,4,4] x, float[8,3,1,1] wa, float[8,1,1] ws, float[8] wv, float[8] wu, float[{weight}] wb) "
        f"=> (float[A,2,C,D] y) {{ {written} h = Conv (x, wa) {body} y = Conv (t, wb) }}",
        opset=21,
    )
    groups, _ = channel_groups(model)
    assert sum(group.size for group in groups) == channels
    assert all(group.zero_where_read for group in groups)
    for seed in range(2):
        check_zero_where_read(model, groups, seed)
        check_fold(model, groups, seed)


GROUPED_QUERIES = """main (float[1,5,12] x, float[12,24] wq, float[12,12] wk, float[12,12] wv, float[24,12] wo)
    => (float[1,5,12] y) {
    four = Constant <value = int64[4] {1, 5, 6, 4}> () two = Constant <value = int64[4] {1, 5, 3, 4}> ()
    twice = Constant <value = int64[5] {1, 3, 2, 5, 4}> () six = Constant <value = int64[4] {1, 6, 5, 4}> ()
    flat = Constant <value = int64[3] {1, 5, 24}> () axis = Constant <value = int64[1] {2}> ()
    q0 = MatMul (x, wq) q1 = Reshape (q0, four) q = Transpose <perm = [0,2,1,3]> (q1)
    k0 = MatMul (x, wk) k1 = Reshape (k0, two) k2 = Transpose <perm = [0,2,1,3]> (k1) k3 = Unsqueeze (k2, axis)
    k4 = Expand (k3, twice) k5 = Reshape (k4, six) k = Transpose <perm = [0,1,3,2]> (k5)
    v0 = MatMul (x, wv) v1 = Reshape (v0, two) v2 = Transpose <perm = [0,2,1,3]> (v1) v3 = Unsqueeze (v2, axis)
    v4 = Expand (v3, twice) v = Reshape (v4, six)
    s = MatMul (q, k) p = Softmax <axis = -1> (s) o = MatMul (p, v) o1 = Transpose <perm = [0,2,1,3]> (o)
    o2 = Reshape (o1, flat) y = MatMul (o2, wo) }"""


def test_grouped_queries_go_with_their_key() -> None:
    model = model_of(GROUPED_QUERIES)
    (group,), _ = channel_groups(model)
    assert group.size == 3
    assert {str(each) for each in group.producers} == {"wq[:, 0+3x8+8x1]", "wk[:, 0+3x4+4x1]", "wv[:, 0+3x4+4x1]"}
    assert [str(each) for each in group.readers] == ["wo[0+3x8+8x1]"]
    check_zero_where_read(model, [group])
    check_fold(model, [group])


FUSED = """main (float[1,5,12] x, float[12,36] wqkv, float[36] wb, float[12,12] wo) => (float[1,5,12] y) {
    split = Constant <value = int64[5] {1, 5, 3, 3, 4}> () flat = Constant <value = int64[3] {1, 5, 12}> ()
    i0 = Constant <value = int64 {0}> () i1 = Constant <value = int64 {1}> () i2 = Constant <value = int64 {2}> ()
    a = MatMul (x, wqkv) b = Add (a, wb) c = Reshape (b, split) d = Transpose <perm = [2,0,3,1,4]> (c)
    q = Gather (d, i0) k0 = Gather (d, i1) v = Gather (d, i2) k = Transpose <perm = [0,1,3,2]> (k0)
    s = MatMul (q, k) p = Softmax <axis = -1> (s) o = MatMul (p, v) o1 = Transpose <perm = [0,2,1,3]> (o)
    o2 = Reshape (o1, flat) y = MatMul (o2, wo) }"""


def test_heads_of_a_fused_projection() -> None:
    model = model_of(FUSED)
    (group,), _ = channel_groups(model)
    assert (group.size, str(group.producers[0])) == (3, "wqkv[:, 0+3x4+3x12+4x1]")
    check_zero_where_read(model, [group])
    check_fold(model, [group])


ROTARY = """main (float[1,5,12] x, float[5,4] cos, float[5,4] sin, float[12,12] wq, float[12,12] wk, float[12,12] wv,
    float[12,12] wo) => (float[1,5,12] y) {
    heads = Constant <value = int64[4] {1, 5, 3, 4}> () flat = Constant <value = int64[3] {1, 5, 12}> ()
    q0 = MatMul (x, wq) q1 = Reshape (q0, heads) q2 = Transpose <perm = [0,2,1,3]> (q1)
    qa, qb = Split <axis = -1, num_outputs = 2> (q2) qn = Neg (qb) qr = Concat <axis = -1> (qn, qa)
    qc = Mul (q2, cos) qs = Mul (qr, sin) q = Add (qc, qs)
    k0 = MatMul (x, wk) k1 = Reshape (k0, heads) k = Transpose <perm = [0,2,3,1]> (k1)
    v0 = MatMul (x, wv) v1 = Reshape (v0, heads) v = Transpose <perm = [0,2,1,3]> (v1)
    s = MatMul (q, k) p = Softmax <axis = -1> (s) o = MatMul (p, v) o1 = Transpose <perm = [0,2,1,3]> (o)
    o2 = Reshape (o1, flat) y = MatMul (o2, wo) }"""


def test_heads_turned_by_positions() -> None:
    model = model_of(ROTARY)
    (group,), _ = channel_groups(model)
    assert group.size == 3
    check_zero_where_read(model, [group])
    check_fold(model, [group])


def test_a_group_norm_mixes_channels_along_other_axes() -> None:
    text = """main (float[1,3,4,4] x, float[8,3,1,1] wa, float[4] wv, float[4] wu, float[2,4,1,1] wb)
        => (float[8,2,1,4] y) {
        h = Conv (x, wa) r = Transpose <perm = [1,2,0,3]> (h) t = GroupNormalization <num_groups = 2> (r, wv, wu)
        y = Conv (t, wb) }"""
    groups, skips = channel_groups(model_of(text, opset=21))
    assert groups == []
    assert ("GP373", "wa") in {(skip.code, skip.node) for skip in skips}


def test_a_reshape_of_one_channel_alone() -> None:
    """Found by random graphs: every second one of the channels [a, b, a, b] is the same."""
    model = model_of(
        """main (float[1,2,4,4] x, float[2,2,1,1] wa, float[1,2,1,1] wb) => (float[1,1,4,4] y, float[1,1,1,1,1] z) {
        starts = Constant <value = int64[1] {3}> () ends = Constant <value = int64[1] {0}> ()
        axes = Constant <value = int64[1] {1}> () steps = Constant <value = int64[1] {-2}> ()
        shape = Constant <value = int64[5] {1,1,2,4,4}> () p = Conv (x, wa) c = Concat <axis = 1> (p, p)
        s = Slice (c, starts, ends, axes, steps) r = Reshape (s, shape) z = ReduceSum (r) y = Conv (p, wb) }"""
    )
    groups, _ = channel_groups(model)
    check_fold(model, groups)


GATHERED = {
    "a square of different ones": ("int64[2,2] {3,1,0,2}", 2),
    "one channel in every place": ("int64[2] {1,1}", 3),
    "all channels in each row": ("int64[2,4] {0,1,2,3,0,1,2,3}", 4),
}


@pytest.mark.parametrize(("indices", "channels"), GATHERED.values(), ids=GATHERED)
def test_channels_that_are_gathered(indices: str, channels: int) -> None:
    model = model_of(
        f"""main (float[2,3,4] x, float[4,3,1] wa) => (float y) {{
        i = Constant <value = {indices}> () h = Conv (x, wa) g = Gather <axis = 1> (h, i)
        y = ReduceSum <keepdims = 0> (g) }}"""
    )
    groups, _ = channel_groups(model)
    assert sum(group.size for group in groups) == channels
    check_fold(model, groups)
