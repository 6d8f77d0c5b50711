"""Models that round as others may that sum in another order."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.verification import roundings
from graphprune.verification.feeds import random_feed
from graphprune.verification.intermediate import run_with_outputs
from graphprune.verification.noise import with_noise
from tests.verification.integers import DYNAMIC, QDQ, dynamic_constants, model

LARGE = "g (float[1,4,96,96] x) => (y) {{ {} y = Cast<to = 6>(e) }}"


def differing(graph: ir.Model, runs: int = 4) -> list[int]:
    """How many elements of `y` differ from the model's own in each run."""
    feed = random_feed(graph)
    right = session_for(graph, optimize=False).run(None, feed)[0]
    session = session_for(with_noise(graph), optimize=False)
    return [int(np.count_nonzero(session.run(None, feed)[0] != right)) for _ in range(runs)]


@pytest.mark.parametrize(
    ("opset", "node"),
    [
        (20, "e = QuantizeLinear(x, sd, zd)"),
        (10, "e = QuantizeLinear(x, sd, zd)"),
        (20, "e = QuantizeLinear(x, sd)"),
        (20, "e = com.microsoft.QuantizeLinear(x, sd, zd)"),
        (21, "s = Constant<value = float[4] {0.02,0.03,0.01,0.05}>() e = QuantizeLinear<axis = 1>(x, s)"),
        (20, "m = Reshape(x, rows) e, s, z = DynamicQuantizeLinear(m)"),
        (20, "e = QLinearConv(a, sx, zx, w, sw, none, sd, zd)"),
        (20, "e = QLinearMatMul(a, sx, zx, a, sx, zx, sd, zd)"),
        (20, "e = com.microsoft.QLinearAdd(a, sx, zx, a, sd, zd, sd, zd)"),
        (20, "e = com.microsoft.QLinearMul(a, sx, zx, a, sh, zh, sd, zd)"),
        (20, "e = com.microsoft.QLinearLeakyRelu(a, sx, zx, sd, zd)"),
        (20, "e = com.microsoft.QLinearAveragePool<kernel_shape = [2,2]>(a, sx, zx, sd, zd)"),
        (20, "e = com.microsoft.QLinearConcat<axis = 1>(sd, zd, a, sx, zx)"),
        (20, "c = Cast<to = 9>(a) e = com.microsoft.QLinearWhere(c, a, sx, zx, a, sx, zx, sd, zd)"),
    ],
)
def test_every_form_is_moved_in_few_elements(opset: int, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundings, "_SINGLE", roundings.Precision(noise=2.0**-8))
    given = {"rows": np.array([96, 384]), "sh": np.array(0.0137, np.float32)}
    text = LARGE.format(node)
    text = text.replace("float[1,4,96,96] x", "uint8[1,4,96,96] a") if "(a," in node or " a," in node else text
    counts = differing(model(text, given, opset=opset), runs=8)
    assert any(counts)
    assert np.median(counts) < 0.3 * 4 * 96 * 96  # scales of two and three have ties in every third element


def test_floats_move_by_a_small_share_of_a_level() -> None:
    moved = with_noise(model(LARGE.format("e = QuantizeLinear(x, sx, zx)")))
    name = next(str(node.inputs[0].name) for node in moved.graph if node.op_type == "QuantizeLinear" and node.inputs[0])
    feed = random_feed(moved)
    steps = (run_with_outputs(moved, {name}, feed)[name].astype(np.float64) - feed["x"]) / 0.03
    assert np.allclose(np.abs(steps), 2.0**-12, rtol=0.1)
    assert abs(np.sign(steps).mean()) < 0.05


def test_weights_and_integers_stay() -> None:
    text = (
        "g (int32[4] x) => (uint8[4] y, float[4,4,3,3] v) { y = QuantizeLinear(x, sx, zx) v = DequantizeLinear(w, sw) }"
    )
    assert with_noise(model(text)).graph.num_nodes() == 2


def test_runs_differ_and_sessions_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundings, "_SINGLE", roundings.Precision(noise=2.0**-6))
    counts = differing(model(QDQ))
    assert len(set(counts)) > 1
    assert counts == differing(model(QDQ))


def test_products_that_quantize_inside_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundings, "_SINGLE", roundings.Precision(noise=2.0**-4))
    text = "g (float[64,16] x) => (float[64,8] y) { y = com.microsoft.DynamicQuantizeMatMul(x, k, sk) }"
    assert min(differing(model(text, given=dynamic_constants() | {"sk": np.array(0.01, np.float32)}))) > 0
    assert min(differing(model(DYNAMIC, given=dynamic_constants()))) > 0


def test_half_precision_moves_by_more() -> None:
    text = """g (float[1,4,96,96] x) => (float16[1,4,96,96] y) {
        h = Cast<to = 10>(x) a = QuantizeLinear(h, half, zx) y = DequantizeLinear(a, half, zx) }"""
    graph = model(text, {"half": np.array(0.03, np.float16)}, opset=21)
    assert np.mean(differing(graph)) > 0.05 * 4 * 96 * 96
