"""Norms and averages over channels that go: the same function, with nothing but cheap nodes more."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.channels import channel_groups
from graphprune.passes import FoldChannels
from graphprune.passes.base import run_pass
from tests.analysis.channels.masking import check_constants, check_fold, check_zero_where_read
from tests.analysis.channels.test_groups import analyse, model_of, slices
from tests.passes.operands.folding import constant, find, folded, operators
from tests.weighted import weight_of

LAYER = "n = LayerNormalization <axis = -1, epsilon = 0.01> (h, ws, wt)"
ROOT = "n = RMSNormalization <axis = -1, epsilon = 0.01> (h, ws)"
WRITTEN_OUT = """axes = Constant <value = int64[1] {-1}> () two = Constant <value = float {2.0}> ()
    e = Constant <value = float {0.01}> () p = Pow (h, two) a = ReduceMean (p, axes) b = Add (a, e) r = Sqrt (b)
    q = Div (h, r) n = Mul (q, ws)"""
NORMS = {"layer": LAYER, "layer without shift": LAYER.replace(", wt", ""), "root": ROOT, "written out": WRITTEN_OUT}


def residual(norm: str) -> ir.Model:
    """A stream of 8 channels that two weights add to, normalized and read."""
    return model_of(
        f"""main (float[2,5,6] x, float[6,8] wa, float[8,8] wb, float[8] ws, float[8] wt, float[8,4] wo)
        => (float[2,5,4] y) {{
        a0 = MatMul (x, wa) b0 = MatMul (a0, wb) h = Add (a0, b0) {norm} y = MatMul (n, wo) }}""",
        23,
    )


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_the_function_stays(norm: str) -> None:
    model = residual(norm)
    groups, _ = channel_groups(model)
    assert [(group.name, group.size, group.zero_where_read) for group in groups] == [("wa", 8, True)]
    for seed in range(4):
        check_zero_where_read(model, groups, seed)
        check_constants(model, groups, seed)
        left = check_fold(model, groups, seed)
        again, _ = channel_groups(left)
        check_fold(left, again, seed)


def test_what_is_added() -> None:
    before = {name: operators(residual(norm)) for name, norm in NORMS.items()}
    after = {}
    for name, norm in NORMS.items():
        model = residual(norm)
        after[name] = operators(check_fold(model, channel_groups(model)[0]))
    assert after["root"] == before["root"]
    assert sorted(after["layer"]) == sorted([*before["layer"], "Pad", "Slice"])
    assert sorted(after["written out"]) == sorted([*before["written out"], "Mul"])


def test_a_root_mean_square_is_rescaled() -> None:
    model = residual(ROOT)
    for name, axis in (("wa", 1), ("wb", 1), ("ws", 0)):
        weight_of(model, name)[(slice(None),) * axis + (slice(6, 8),)] = 0
    scale = weight_of(model, "ws").copy()
    left = run_pass(FoldChannels(), model).model
    node = find(left, "RMSNormalization")
    assert node.attributes["epsilon"].as_float() == pytest.approx(0.01 * 8 / 6)
    np.testing.assert_allclose(constant(left, node, 1), scale[:6] * np.sqrt(8 / 6), rtol=1e-6)


def test_roles() -> None:
    (group,), skips = analyse(
        """main (int64[2,5] ids, float[9,8] wa, float[8,8] wb, float[8] ws, float[8] wt, float[8,4] wo)
        => (float[2,5,4] y) {
        e = Gather (wa, ids) b = MatMul (e, wb) h = Add (e, b) n = LayerNormalization (h, ws, wt)
        y = MatMul (n, wo) }"""
    )
    assert slices(group) == {
        "producers": {"wb[:, 0:8]"},
        "carriers": {"wa[:, 0:8]", "ws[0:8]", "wt[0:8]"},
        "readers": {"wb[0:8]", "wo[0:8]"},
    }
    assert [(skip.code, skip.node) for skip in skips] == [("GP370", "wo")]


def test_a_channel_that_is_not_zero_in_front_of_a_norm() -> None:
    (group,), _ = analyse(
        """main (float[2,3] x, float[3,8] wa, float[8] ws, float[8,4] wo) => (float[2,4] y) {
        a = MatMul (x, wa) h = Sigmoid (a) n = LayerNormalization (h, ws) y = MatMul (n, wo) }"""
    )
    assert group.nonzero is not None
    assert "is 0.5 after node" in group.nonzero
    assert "(LayerNormalization) reads it" in group.nonzero


def test_several_axes() -> None:
    """Channels are one of the axes that statistics go over."""
    model = model_of(
        """main (float[2,3,4,4] x, float[8,3,1,1] wa, float[8,4,4] ws, float[8,4,4] wt, float[2,8,1,1] wo)
        => (float[2,2,4,4] y) {
        h = Conv (x, wa) n = LayerNormalization <axis = 1> (h, ws, wt) y = Conv (n, wo) }"""
    )
    groups, _ = channel_groups(model)
    assert [group.size for group in groups] == [8]
    check_fold(model, groups)


@pytest.mark.parametrize(
    "body", ["axes = Constant <value = int64[2] {1, 2}> () m = ReduceMean (h, axes)", "m = ReduceMean (h)"]
)
@pytest.mark.parametrize("keep", [0, 1])
def test_averages(body: str, keep: int) -> None:
    mean = body.replace("ReduceMean", f"ReduceMean <keepdims = {keep}>")
    model = model_of(
        f"""main (float[2,3,4] x, float[6,3,1] wa, float[1,1,1] ws) => (float[A,B,C] y) {{
        h = Conv (x, wa) {mean} y = Mul (m, ws) }}"""
    )
    groups, _ = channel_groups(model)
    assert [group.size for group in groups] == [6]
    left = check_fold(model, groups)
    assert operators(left).count("Mul") == 2


def test_an_average_of_nothing_passes_channels_on() -> None:
    model = model_of(
        """main (float[2,3,4] x, float[6,3,1] wa, float[2,6,1] wb) => (float[2,2,4] y) {
        h = Conv (x, wa) m = ReduceMean <noop_with_empty_axes = 1> (h) y = Conv (m, wb) }"""
    )
    groups, _ = channel_groups(model)
    assert [group.size for group in groups] == [6]
    left = check_fold(model, groups)
    assert "Mul" not in operators(left)


IMAGE = """main (float[2,3,4,4] x, float[8,3,1,1] wa, float[{scale}] ws, float[{scale}] wt, float[2,8,1,1] wo)
    => (float[2,2,4,4] y) {{ h = Conv (x, wa) {norm} y = Conv (n, wo) }}"""


@pytest.mark.parametrize(("axis", "scale"), [(1, "8,4,4"), (-3, "8,4,4"), (1, "8,1,1"), (0, "2,8,4,4")])
def test_the_scale_of_several_axes_is_that_of_what_is_left(axis: int, scale: str) -> None:
    text = IMAGE.format(norm=f"n = RMSNormalization <axis = {axis}> (h, ws)", scale=scale)
    before = weight_of(model_of(text, 23), "ws")
    left = folded(text, {"wa": [3, 5]}, 23)
    node = find(left, "RMSNormalization")
    assert node.attributes["epsilon"].as_float() == pytest.approx(1e-5 * 8 / 6)
    channels = -3 % before.ndim if before.ndim > 2 else 0
    np.testing.assert_allclose(constant(left, node, 1), np.delete(before, [3, 5], channels) * np.sqrt(8 / 6), rtol=1e-6)


@pytest.mark.parametrize(("axis", "scale"), [(1, "8,4,4"), (-3, "8,4,4"), (1, "8,1,1"), (0, "2,8,4,4")])
def test_zeros_are_put_back_in_front_of_a_norm_and_go_behind_it(axis: int, scale: str) -> None:
    gone = np.s_[..., [3, 5], :, :]
    text = IMAGE.format(norm=f"n = LayerNormalization <axis = {axis}> (h, ws, wt)", scale=scale)
    left = folded(text, {"wa": [3, 5], "ws": gone, "wt": gone})
    assert operators(left) == ["Conv", "Pad", "LayerNormalization", "Slice", "Conv"]
    assert constant(left, find(left, "Pad"), 1).tolist() == [0, 0, 0, 0, 0, 2, 0, 0]
    cut = find(left, "Slice")
    assert [constant(left, cut, index).tolist() for index in (1, 2, 3)] == [[0], [6], [1]]
    norm = find(left, "LayerNormalization")
    extents = [int(extent) for extent in scale.split(",")]
    assert [list(constant(left, norm, index).shape) for index in (1, 2)] == [extents, extents]


@pytest.mark.parametrize("operator", ["LayerNormalization", "RMSNormalization"])
def test_norms_over_other_axes_stay_as_they_are(operator: str) -> None:
    text = IMAGE.format(norm=f"n = {operator} <axis = 2> (h, ws)", scale="4,4")
    left = folded(text, {"wa": [3, 5]}, 23)
    node = find(left, operator)
    assert operators(left) == ["Conv", operator, "Conv"]
    assert set(node.attributes) == {"axis"}
    assert str(node.inputs[1].name if node.inputs[1] else None) == "ws"


AVERAGES = {
    # the average, its operator set, and the share of the 8 channels if 6 are left; none where they are what is averaged
    "all axes": ("ReduceMean (h)", 20, 0.75),
    "no axes": ("ReduceMean (h, none)", 20, 0.75),
    "channels": ("ReduceMean (h, two)", 20, 0.75),
    "from the end": ("ReduceMean (h, last)", 20, 0.75),
    "an attribute": ("ReduceMean <axes = [1, 2]> (h)", 13, 0.75),
    "others": ("ReduceMean (h, one)", 20, None),
    "nothing": ("ReduceMean <noop_with_empty_axes = 1> (h, none)", 20, None),
}


@pytest.mark.parametrize(("mean", "opset", "share"), AVERAGES.values(), ids=AVERAGES)
@pytest.mark.parametrize("kind", ["float", "double"])
def test_averages_count_the_zeros_that_went(mean: str, opset: int, share: float | None, kind: str) -> None:
    read = "MatMul (m, wb)" if share is None else "Neg (m)"
    text = f"""main (float[2,4,3] x, float[3,8] wa, float[8,2] wb) => (float[A,B,C] y) {{
        none = Constant <value = int64[0] {{}}> () one = Constant <value = int64[1] {{1}}> ()
        last = Constant <value = int64[2] {{-2, -1}}> () two = Constant <value = int64[1] {{2}}> ()
        h = MatMul (x, wa) m = {mean} y = {read} }}"""
    left = folded(text.replace("float", kind), {"wa": np.s_[:, [0, 1]]}, opset)
    assert ("Mul" in operators(left)) == (share is not None)
    if share is not None:
        found = constant(left, find(left, "Mul"), 1)
        assert (found.tolist(), str(found.dtype)) == (share, {"float": "float32", "double": "float64"}[kind])
