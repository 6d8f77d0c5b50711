"""Every operator that changed between opsets 7 and 18: a file is the same function once loaded, saved and compiled."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import UnsupportedModelError
from graphprune_runtime.interface import Session
from tests.frontends.old_operators import CASES, Case

OLD = {f"{case.body} of opset {opset}": (case, opset) for case in CASES for opset in case.opsets}


def feed_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    feed = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feed[value.name] = (
            rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else rng.integers(0, 4, shape).astype(dtype)
        )
    return feed


@functools.cache
def compiled(serialized: bytes) -> Session:
    """Most files of several opsets become the same model."""
    return gp.compile(ir.from_proto(onnx.load_model_from_string(serialized)))


def assert_same(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OLD)
def test_a_file_stays_the_same_function(tmp_path: Path, name: str) -> None:
    case, opset = OLD[name]
    path = tmp_path / "m.onnx"
    proto = case.model(opset)
    path.write_bytes(proto.SerializeToString())
    feed, model = feed_of(proto), gp.load(path)
    expected = session_for(ir.from_proto(proto), optimize=False).run(None, feed)
    serialized = ir.to_proto(model).SerializeToString(deterministic=True)
    assert_same(session_for(model, optimize=False).run(None, feed), expected)
    assert_same(compiled(serialized).run(None, feed), expected)


def test_every_opset_is_tried() -> None:
    assert {opset for _, opset in OLD.values()} == {*range(7, 18)}


@pytest.mark.parametrize(
    "settings",
    ['nearest_mode="ceil"', 'nearest_mode="round_prefer_ceil"', 'mode="linear"'],
)
def test_coordinates_that_newer_opsets_lack_are_refused(tmp_path: Path, settings: str) -> None:
    body = f'y = Resize <coordinate_transformation_mode="tf_half_pixel_for_nn", {settings}> (x, roi, up)'
    path = tmp_path / "m.onnx"
    path.write_bytes(Case("Resize", 11, 12, "float[1,2,5,6] x", body).model(11).SerializeToString())
    with pytest.raises(UnsupportedModelError, match=r"'y' \(Resize\): tf_half_pixel_for_nn is gone .* \[GP113\]$"):
        gp.load(path)
