import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune_runtime.interface import TensorInfo, check_feed, check_output_names

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
