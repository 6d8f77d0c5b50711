import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.base import backend_names, get_backend, tensor_infos
from graphprune.errors import BackendError, UnsupportedModelError
from graphprune_runtime.interface import TensorInfo


def test_tensor_infos_keep_names_of_open_dimensions() -> None:
    value = ir.Value(name="x", shape=ir.Shape(["n", 3, None]), type=ir.TensorType(ir.DataType.FLOAT16))
    assert tensor_infos([value]) == [TensorInfo("x", ("n", 3, None), np.dtype("float16"))]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (ir.Value(name="x", shape=ir.Shape([1])), "GP516"),
        (ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT)), "GP517"),
    ],
)
def test_values_without_type_or_rank_are_refused(value: ir.Value, code: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"value 'x' .* \[{code}\]"):
        tensor_infos([value])


def test_backends_are_found_by_name() -> None:
    assert backend_names() == ("tvm", "onnxruntime")
    assert get_backend("onnxruntime").name == "onnxruntime"


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(BackendError, match=r"unknown backend 'tmv', expected one of tvm, onnxruntime \[GP491\]"):
        get_backend("tmv")


def test_a_backend_whose_library_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "graphprune.backends.onnxruntime", None)
    with pytest.raises(BackendError, match=r"backend 'onnxruntime' cannot be imported: .* \[GP492\]"):
        get_backend("onnxruntime")
