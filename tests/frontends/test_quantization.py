"""Scales and zero points that are none."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.onnx_file import load
from tests.frontends.files import write

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>\n'
ARRAYS = {
    "s": np.float32(0.1),
    "z": np.uint8(3),
    "i": np.int8(3),
    "w": np.ones((4, 3), np.uint8),
    "v": np.ones((4, 3), np.int32),
    "j": np.int32(1),
    "three": np.full(3, 0.1, np.float32),
    "four": np.full(4, 0.1, np.float32),
    "z3": np.zeros(3, np.uint8),
    "z4": np.zeros(4, np.uint8),
}


def model(path: Path, call: str, **arrays: npt.ArrayLike) -> Path:
    return write(
        path,
        f"{HEADER} g (float[2,4] x, uint8[2,4] u) => (float[a,b] y) {{ {call} }}",
        **{name: np.asarray(array) for name, array in {**ARRAYS, **arrays}.items()},
    )


def refused(path: Path, pattern: str) -> None:
    with pytest.raises(UnsupportedModelError, match=pattern) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


QUANTIZE = "[n] q = QuantizeLinear (x, t, z) y = DequantizeLinear (q, s, z)"
DEQUANTIZE = "q = QuantizeLinear (x, s, z) [n] y = DequantizeLinear (q, t, z)"
ADD = "[n] q = com.microsoft.QLinearAdd (u, {}, z, u, s, z, {}, z) y = DequantizeLinear (q, s, z)"
CONCAT = "[n] q = com.microsoft.QLinearConcat <axis = 1> (s, z, u, s, z, u, t, z) y = DequantizeLinear (q, s, z)"


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("call", "operator"), [(QUANTIZE, "QuantizeLinear"), (ADD.format("s", "t"), "QLinearAdd")], ids=["onnx", "runtime"]
)
def test_a_divisor_that_is_not_positive(tmp_path: Path, call: str, operator: str, scale: float) -> None:
    pattern = rf"'n' \({operator}\): scale 't' holds {scale:g}, expected a positive number \[GP146\]$"
    refused(model(tmp_path / "m.onnx", call, t=np.float32(scale)), pattern)


@pytest.mark.parametrize("scale", [np.nan, np.inf])
@pytest.mark.parametrize(
    "call",
    [
        DEQUANTIZE,
        ADD.format("t", "s"),
        CONCAT,
        "[n] y = com.microsoft.MatMulNBits <K = 4, N = 1, block_size = 16> (x, w, t)",
        "[n] y = com.microsoft.MatMulIntegerToFloat (u, w, s, t)",
    ],
)
def test_a_factor_that_is_not_finite(tmp_path: Path, call: str, scale: float) -> None:
    pattern = rf"'n' \(\w+\): scale 't' holds {scale:g}, expected a finite number \[GP146\]$"
    refused(model(tmp_path / "m.onnx", call, t=np.float32(scale)), pattern)


@pytest.mark.parametrize("scale", [0, -0.5])
def test_a_factor_may_be_zero_or_negative(tmp_path: Path, scale: float) -> None:
    load(model(tmp_path / "m.onnx", DEQUANTIZE, t=np.float32(scale)))


def test_one_bad_scale_of_many_is_found(tmp_path: Path) -> None:
    scales = np.array([0.1, 0.2, 0, 0.3], np.float32)
    call = QUANTIZE.replace("(x, t, z)", "(x, t, z4)")
    refused(model(tmp_path / "m.onnx", call, t=scales), r"scale 't' holds 0, expected a positive number")


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        ("q = QuantizeLinear (x, s, z) [n] y = DequantizeLinear (q, s, i)", r"node name: n\): x_zero_point has incons"),
        ("[n] d = DequantizeLinear (w, s, s) y = MatMul (x, d)", r"node name: n\): x_zero_point typestr"),
        ("[n] d = DequantizeLinear (v, s, j) y = MatMul (x, d)", r"'n' \(DequantizeLinear\): zero point 'j' of INT32"),
        (
            "[n] y = com.microsoft.DequantizeLinear (u, s, i)",
            r"'n' \(DequantizeLinear\): zero point 'i' is of INT8, expected UINT8 as 'u' \[GP147\]$",
        ),
        (
            "[n] y = com.microsoft.DynamicQuantizeMatMul (x, w, s, i)",
            r"'n' \(DynamicQuantizeMatMul\): zero point 'i' is of INT8, expected UINT8 as 'w' \[GP147\]$",
        ),
    ],
)
def test_a_zero_point_of_another_type(tmp_path: Path, call: str, pattern: str) -> None:
    refused(model(tmp_path / "m.onnx", call), pattern)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        ("DequantizeLinear <axis = 1> (u, three)", r"input 'three' has shape \[3\], expected \[4\] \[GP110\]$"),
        ("DequantizeLinear <axis = 1> (u, four, z3)", r"input 'z3' has shape \[3\], expected \[4\] \[GP110\]$"),
        ("DequantizeLinear <axis = 1> (u, s, z3)", r"input 'z3' has shape \[3\], expected \[\] \[GP110\]$"),
        ("DequantizeLinear <axis = 2> (u, four)", r"axis is 2, which \[2, 4\] does not have \[GP110\]$"),
        ("DequantizeLinear <axis = -3> (u, four)", r"axis is -3, which \[2, 4\] does not have \[GP110\]$"),
        ("DequantizeLinear <block_size = -2> (u, four)", r"block_size is -2, expected at least 0 \[GP110\]$"),
        ("DequantizeLinear <block_size = 2> (u, four)", r"input 'four' has shape \[4\], expected \[2, 2\] \[GP110\]$"),
    ],
)
def test_a_shape_that_does_not_fit(tmp_path: Path, call: str, pattern: str) -> None:
    refused(model(tmp_path / "m.onnx", f"[n] y = {call}"), rf"'n' \(DequantizeLinear\): {pattern}")


def test_an_axis_that_nothing_lies_along_may_be_any(tmp_path: Path) -> None:
    load(model(tmp_path / "m.onnx", "y = DequantizeLinear <axis = 7> (u, s, z)"))


@pytest.mark.parametrize(("scale", "point"), [("four", "z"), ("s", "z4")])
def test_as_many_scales_as_columns(tmp_path: Path, scale: str, point: str) -> None:
    call = f"[n] q = QLinearMatMul (u, s, z, w, {scale}, {point}, s, z) y = DequantizeLinear (q, s, z)"
    refused(model(tmp_path / "m.onnx", call), r"'n' \(QLinearMatMul\): input '\w+' has shape \[4\], expected \[3\]")
