import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.base import backend_names, get_backend, tensor_infos
from graphprune.errors import BackendError, InputError, UnsupportedModelError
from graphprune.runtime.interface import TensorInfo, check_feed, check_output_names

IMAGE = TensorInfo("image", ("batch", 3, 4), np.dtype("float32"))
MASK = TensorInfo("mask", ("batch", None), np.dtype("int64"))


def feed(batch: int = 2, mask_batch: int = 2) -> dict[str, np.ndarray]:
    return {"image": np.zeros((batch, 3, 4), "float32"), "mask": np.zeros((mask_batch, 5), "int64")}


def test_a_fitting_feed_passes() -> None:
    check_feed([IMAGE, MASK], feed())


def test_a_declared_empty_input_takes_an_empty_array() -> None:
    check_feed([TensorInfo("x", (0, 2), np.dtype("float32"))], {"x": np.zeros((0, 2), "float32")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imag": np.zeros(1)}, r"unknown input 'imag', did you mean 'image' \[GP512\]"),
        ({"zzz": np.zeros(1)}, r"unknown input 'zzz', expected one of 'image', 'mask' \[GP512\]"),
        ({"image": None}, r"input 'image' is a NoneType, expected a NumPy array \[GP514\]"),
        ({"image": np.zeros((2, 3, 4))}, r"input 'image' has dtype float64, expected float32 \[GP514\]"),
        ({"image": np.zeros((), "float32")}, r"has 0 dimensions, expected 3: float32\[batch, 3, 4\] \[GP515\]"),
        (
            {"image": np.zeros((2, 3, 5), "float32")},
            r"extent 5 at axis 2, expected 4: float32\[batch, 3, 4\] \[GP515\]",
        ),
        ({"image": np.zeros((0, 3, 4), "float32")}, r"input 'image' is empty at axis 0"),
        ({"mask": np.zeros((3, 5), "int64")}, r"dimension 'batch' is 3 in input 'mask', expected 2 as in 'image'"),
    ],
)
def test_a_wrong_feed_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_feed([IMAGE, MASK], feed() | change)


def test_a_missing_input_is_named_with_its_form() -> None:
    with pytest.raises(InputError, match=r"input 'mask' is missing, expected mask: int64\[batch, \?\] \[GP513\]"):
        check_feed([IMAGE, MASK], {"image": feed()["image"]})


def test_output_names_default_to_all_in_order() -> None:
    assert check_output_names([IMAGE, MASK], None) == ["image", "mask"]
    assert check_output_names([IMAGE, MASK], ["mask"]) == ["mask"]


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown output 'maks', did you mean 'mask' \[GP511\]"):
        check_output_names([IMAGE, MASK], ["maks"])


def test_types_are_spelt_as_onnxruntime_spells_them() -> None:
    names = {"float32": "float", "float64": "double", "int64": "int64", "bool": "bool", "object": "string"}
    assert {name: TensorInfo("x", (), np.dtype(name)).type for name in names} == {
        name: f"tensor({spelt})" for name, spelt in names.items()
    }


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
