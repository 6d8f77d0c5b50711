"""Running statistics are those of the values that are normalised."""

import numpy as np
import onnx_ir as ir

from graphprune.testing.models import random_feed
from graphprune.testing.models.calibration import calibrate_batch_norms
from tests.testing.models.running import run
from tests.weighted import weight_of, weighted_model

NORM = "y = BatchNormalization <epsilon = 1e-6> (c, w1, w2, wm, wv)"
TEXT = f"""g (float[1,3,16,16] x, float[4,3,3,3] w, float[4] w1, float[4] w2, float[4] wm, float[4] wv)
    => (float[1,4,14,14] y) {{ c = Conv(x, w) {NORM} }}"""


def calibrated(text: str = TEXT) -> ir.Model:
    ones = np.ones(4, np.float32)
    model = weighted_model(text, {"w1": ones, "w2": 0 * ones, "wv": ones})
    calibrate_batch_norms(model)
    return model


def test_the_output_is_normalised() -> None:
    model = calibrated()
    y = run(model, random_feed(model))[0]
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, rtol=1e-3)


def test_norms_behind_norms_are_calibrated_in_one_run() -> None:
    text = TEXT.replace("y = Batch", "n = Batch").replace(
        "wv) }", "wv) r = Relu(n) y = BatchNormalization(r, w1, w2, wa, wb) }"
    )
    text = text.replace("float[4] wv)", "float[4] wv, float[4] wa, float[4] wb)")
    model = calibrated(text)
    y = run(model, random_feed(model))[0]
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)


def test_a_constant_channel_keeps_a_positive_variance() -> None:
    model = weighted_model(TEXT, {"w": np.zeros((4, 3, 3, 3), np.float32)})
    calibrate_batch_norms(model)
    assert (weight_of(model, "wv") > 0).all()


def test_the_graph_is_left_alone() -> None:
    assert [node.op_type for node in calibrated().graph] == ["Conv", "BatchNormalization"]
    assert len(calibrated().graph.outputs) == 1


def test_a_model_without_norms_is_left_alone() -> None:
    model = weighted_model("g (float[N,4] x, float[4,4] w) => (float[N,4] y) { y = MatMul(x, w) }")
    before = weight_of(model, "w").copy()
    calibrate_batch_norms(model)
    np.testing.assert_array_equal(weight_of(model, "w"), before)
