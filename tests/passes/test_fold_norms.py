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
        folded = check_fold(model, groups, seed)
        again, _ = channel_groups(folded)
        check_fold(folded, again, seed)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph if node.op_type != "Constant"]


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
    folded = run_pass(FoldChannels(), model).model
    node = next(node for node in folded.graph if node.op_type == "RMSNormalization")
    assert node.attributes["epsilon"].as_float() == pytest.approx(0.01 * 8 / 6)
    parameter = node.inputs[1]
    assert parameter is not None
    np.testing.assert_allclose(weight_of(folded, str(parameter.name)), scale[:6] * np.sqrt(8 / 6), rtol=1e-6)


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
    folded = check_fold(model, groups)
    assert operators(folded).count("Mul") == 2


def test_an_average_of_nothing_passes_channels_on() -> None:
    model = model_of(
        """main (float[2,3,4] x, float[6,3,1] wa, float[2,6,1] wb) => (float[2,2,4] y) {
        h = Conv (x, wa) m = ReduceMean <noop_with_empty_axes = 1> (h) y = Conv (m, wb) }"""
    )
    groups, _ = channel_groups(model)
    assert [group.size for group in groups] == [6]
    folded = check_fold(model, groups)
    assert "Mul" not in operators(folded)
