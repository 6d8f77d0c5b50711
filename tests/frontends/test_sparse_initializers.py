"""Sparse tensors of files are written out; damaged ones are refused before an index is followed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from graphprune.errors import GraphPruneError
from graphprune.frontends.onnx_file import load

PRODUCT = '<ir_version: 10, opset_import: ["" : 20]> g (float[2,4] x) => (float[a,b] y) { y = MatMul(x, w) }'
DENSE = np.array([[1, 0, 0], [0, 0, 2], [0, 0, 0], [0, 3, 0]], np.float32)
FLAT = np.flatnonzero(DENSE)


def write(path: Path, indices: npt.ArrayLike, shape: tuple[int, ...] = (4, 3)) -> Path:
    proto = onnx.parser.parse_model(PRODUCT)
    values = numpy_helper.from_array(DENSE[DENSE != 0], "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.asarray(indices, np.int64)), shape)
    proto.graph.sparse_initializer.append(sparse)
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("indices", [FLAT, np.argwhere(DENSE)])
def test_a_sparse_initializer_is_written_out(tmp_path: Path, indices: npt.NDArray[np.int64]) -> None:
    tensor = load(write(tmp_path / "m.onnx", indices)).graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), DENSE)


def test_a_sparse_constant_is_written_out(tmp_path: Path) -> None:
    proto = onnx.load(write(tmp_path / "m.onnx", FLAT))
    node = helper.make_node("Constant", [], ["w"], sparse_value=proto.graph.sparse_initializer.pop())
    proto.graph.node.insert(0, node)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    constant = load(tmp_path / "m.onnx").graph.node(0)
    np.testing.assert_array_equal(constant.attributes["value"].as_tensor().numpy(), DENSE)


@pytest.mark.parametrize(
    ("indices", "shape", "reason"),
    [
        ([0, 5, 12], (4, 3), r"place 12 is outside its 12 elements \[GP142\]"),
        ([0, -1, 5], (4, 3), r"place -1 is outside its 12 elements \[GP142\]"),
        ([[0, 0], [1, 3], [3, 1]], (4, 3), r"place -1 is outside its 12 elements \[GP142\]"),
        ([0, 5], (4, 3), r"indices are \[2\] for \[3\] values of \[4, 3\] \[GP142\]"),
        ([0, 5, 10], (2**20, 2**20), r"takes 4398046511104 bytes written out, expected at most 2147483648 \[GP143\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, indices: npt.ArrayLike, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(GraphPruneError, match=rf"sparse tensor 'w' .*{reason}$"):
        load(write(tmp_path / "m.onnx", indices, shape))
