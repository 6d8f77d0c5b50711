"""Taps of a resized axis beside ONNX Runtime, for scales and sizes whose coordinates are rounded."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphprune.analysis.resampling import COORDINATES, Axis, Resampling, axis_weights
from graphprune.backends.onnxruntime import session_for

REGION = np.array([0, 0, 0.1, 0, 1, 1, 0.8, 1], np.float32)
SCALES = (0.3, 0.5, 0.6, 0.7, 0.9, 1.0, 1.2, 1.4, 1.9, 2.0, 2.5)
RULES = [
    *(
        f'mode="nearest", nearest_mode="{each}"'
        for each in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    'mode="linear"',
    'mode="cubic"',
]


def settings(coordinates: str, rule: str) -> Resampling:
    mode, _, rest = rule.removeprefix('mode="').partition('"')
    nearest = rest.partition('nearest_mode="')[2].rstrip('"') or "round_prefer_floor"
    return Resampling(mode, coordinates, nearest, -0.75, exclude_outside=False, antialias=False)


def resized(x: np.ndarray, scale: float, coordinates: str, rule: str) -> np.ndarray:
    """What ONNX Runtime makes of axis 2; axis 3 is made longer, because equal shapes are copied."""
    node = f'Resize<coordinate_transformation_mode="{coordinates}", {rule}>(x, r, s)'
    graph = f"g (float[a,b,c,d] x, float[8] r, float[4] s) => (float[e,f,g,h] y) {{ y = {node} }}"
    text = f'<ir_version: 8, opset_import: ["": 19]> {graph}'
    feed = {"x": x, "r": REGION, "s": np.array([1, 1, scale, 2], np.float32)}
    return np.asarray(session_for(ir.from_proto(onnx.parser.parse_model(text)), optimize=False).run(None, feed)[0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("coordinates", sorted(COORDINATES))
def test_an_axis_is_read_where_onnx_runtime_reads_it(coordinates: str, rule: str) -> None:
    for size in (1, 2, 3, 5, 7, 10, 13):
        x = np.random.default_rng(size).standard_normal((1, 1, size, 1)).astype(np.float32)
        for scale in SCALES:
            length = int(np.float32(scale) * np.float32(size))
            if length == 0:
                continue
            axis = Axis(size, length, float(np.float32(scale)), (float(REGION[2]), float(REGION[6])))
            taps = axis_weights(axis, settings(coordinates, rule))
            expected = resized(x, scale, coordinates, rule)[0, 0, :, 0]
            assert expected.shape == (length,)
            if taps is None:
                np.testing.assert_allclose(x[0, 0, :, 0], expected, rtol=1e-6)
                continue
            weights = np.ones(taps.places.shape) if taps.weights is None else taps.weights
            values = np.where(taps.outside, 0, (x[0, 0, :, 0][taps.places] * weights).sum(axis=1))
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=f"{size} by {scale}")
