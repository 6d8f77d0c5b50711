"""Sparse tensors of ONNX files, written out: everything behind the frontend knows dense ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from graphprune.errors import ModelFileError, UnsupportedModelError
from graphprune.frontends.declared import scopes

MOST_BYTES = 2**31
"""Of one tensor that is written out, which a file of a few bytes may ask for."""


def write_out_sparse(proto: onnx.ModelProto, source: Path) -> None:
    """Replace sparse initializers, and sparse values of `Constant`, by dense ones.

    Raises:
        ModelFileError: The values and indices do not fit the shape [GP142].
        UnsupportedModelError: The dense tensor is too large [GP143].
    """
    for scope in scopes(proto):
        if isinstance(scope, onnx.GraphProto):
            scope.initializer.extend(_dense(sparse, source) for sparse in scope.sparse_initializer)
            del scope.sparse_initializer[:]
        for node in scope.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and node.op_type == "Constant":
                    dense = _dense(attribute.sparse_tensor, source)
                    attribute.CopyFrom(onnx.helper.make_attribute("value", dense))


def _dense(sparse: onnx.SparseTensorProto, source: Path) -> onnx.TensorProto:
    name, shape = sparse.values.name, tuple(sparse.dims)
    try:
        values, given = (numpy_helper.to_array(part) for part in (sparse.values, sparse.indices))
    except (ValueError, TypeError) as error:
        raise _unfit(name, str(error), source) from error
    size = math.prod(shape) * values.itemsize
    if size > MOST_BYTES:
        raise UnsupportedModelError(
            f"'{source}': sparse tensor '{name}' takes {size} bytes written out, expected at most {MOST_BYTES}",
            code="GP143",
        )
    places = _places(given, shape)
    if places is None or values.ndim != 1 or places.shape != values.shape:
        raise _unfit(name, f"indices are {list(given.shape)} for {list(values.shape)} values of {list(shape)}", source)
    dense = np.zeros(math.prod(shape), values.dtype)
    outside = (places < 0) | (places >= dense.size)
    if outside.any():
        raise _unfit(name, f"place {int(places[outside][0])} is outside its {dense.size} elements", source)
    dense[places] = values
    return numpy_helper.from_array(dense.reshape(shape), name)


def _places(given: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Places in the flat tensor, which are given as such [count], or axis by axis [count, rank]."""
    if given.dtype != np.int64 or given.ndim not in (1, 2):
        return None
    if given.ndim == 1:
        return given
    if given.shape[1] != len(shape):
        return None
    if not ((given >= 0) & (given < np.array(shape))).all():
        return np.full(len(given), -1)
    return np.ravel_multi_index(tuple(given.T), shape) if len(given) else given[:, 0]


def _unfit(name: str, what: str, source: Path) -> ModelFileError:
    return ModelFileError(f"'{source}': sparse tensor '{name}' is damaged: {what}", code="GP142")
