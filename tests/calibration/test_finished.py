"""Layers that are finished, between two runs."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from graphprune.calibration.finished import FinishedLayer, FinishedLayers, digest
from graphprune.errors import InputError


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int8])
def test_a_layer_comes_back(dtype: np.typing.DTypeLike, tmp_path: Path) -> None:
    dense = np.arange(6).reshape(2, 3).astype(dtype)
    layer = FinishedLayer(dense * dense.dtype.type(0), np.array([0.1, 1 / 3]), 0.25)
    kept = FinishedLayers(tmp_path / "layers", {"plan": 1}).put("a/b.weight", dense, layer)
    found = FinishedLayers(tmp_path / "layers", {"plan": 1}).get("a/b.weight", dense)
    assert found is not None
    for each in (kept, found):
        np.testing.assert_array_equal(each.weight, layer.weight)
        assert each.weight.dtype == dtype
        np.testing.assert_array_equal(each.shift, layer.shift)
        assert each.error == layer.error
        assert isinstance(each.weight, np.memmap)


def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    assert FinishedLayers(tmp_path, {}).get("w", np.zeros(2)) is None


def test_layers_of_another_run_are_refused(tmp_path: Path) -> None:
    FinishedLayers(tmp_path, {"samples": "a"})
    FinishedLayers(tmp_path, {"samples": "b"}).put("w", np.zeros(2), FinishedLayer(np.zeros(2), np.zeros(1), 0.0))
    FinishedLayers(tmp_path, {"samples": "b"})
    with pytest.raises(InputError, match=r"has layers of another run: another model, plan, .* remove it .* \[GP585\]"):
        FinishedLayers(tmp_path, {"samples": "a"})


def test_layers_of_another_model_are_refused(tmp_path: Path) -> None:
    finished = FinishedLayers(tmp_path, {})
    finished.put("w", np.zeros(2), FinishedLayer(np.zeros(2), np.zeros(1), 0.0))
    with pytest.raises(InputError, match="GP585"):
        finished.get("w", np.ones(2))


def test_digests_tell_types_shapes_and_values_apart() -> None:
    arrays = [np.zeros(4, np.float32), np.zeros((2, 2), np.float32), np.zeros(4, np.int32), np.array([0, 0, 0, 1.0])]
    assert len({digest([array]) for array in arrays}) == len(arrays)
    assert digest([np.zeros((2, 0))]) == digest([np.zeros((2, 0))])
    assert digest([np.arange(6).reshape(2, 3).T]) == digest([np.arange(6).reshape(2, 3).T.copy()])
