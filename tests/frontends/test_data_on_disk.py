"""Weights that stay in their file: what is read, what is kept, and what becomes of a file that changes."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import ModelFileError
from graphprune.frontends.data_on_disk import DataOnDisk
from graphprune.frontends.onnx_file import load
from tests.frontends.files import WIDE_WEIGHT, write_external


def weight(folder: Path) -> DataOnDisk:
    tensor = load(write_external(folder / "m.onnx")).graph.initializers["w"].const_value
    assert isinstance(tensor, DataOnDisk)
    return tensor


def test_an_array_is_read_and_kept_as_long_as_it_is_held(tmp_path: Path) -> None:
    tensor = weight(tmp_path)
    held = tensor.numpy()
    np.testing.assert_array_equal(held, WIDE_WEIGHT)
    assert not held.flags.writeable
    assert tensor.numpy() is held
    np.testing.assert_array_equal(np.asarray(tensor), WIDE_WEIGHT)


def test_bytes_are_copied(tmp_path: Path) -> None:
    tensor, copy = weight(tmp_path), io.BytesIO()
    tensor.tofile(copy)
    assert copy.getvalue() == tensor.tobytes() == WIDE_WEIGHT.tobytes()


def test_values_of_four_bits_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(bytes([0x21, 0x0F]))
    place = ir.ExternalTensor("w.data", 0, 2, ir.DataType.INT4, shape=ir.Shape([3]), name="w", base_dir=tmp_path)
    assert DataOnDisk(place, tmp_path).numpy().astype(np.int8).tolist() == [1, 2, -1]


def cut(path: Path) -> None:
    os.truncate(path, 16)


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)


def swap_for_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [cut, replace, swap_for_a_pipe])
@pytest.mark.parametrize("was_read", [False, True])
def test_a_file_that_changed_is_refused(tmp_path: Path, change: Callable[[Path], None], *, was_read: bool) -> None:
    tensor = weight(tmp_path)
    if was_read:
        tensor.numpy()
        gc.collect()
    change(tmp_path / "w.data")
    with pytest.raises(ModelFileError, match=r"'w': external data '.*' changed since the model was loaded \[GP144\]$"):
        tensor.numpy()


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    tensor = weight(tmp_path)
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelFileError, match=r"cannot be read: No such file or directory \[GP103\]$"):
        tensor.tobytes()
