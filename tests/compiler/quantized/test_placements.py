"""Quantized graphs as other tools place their nodes: NNCF, ModelOpt and the exporters of training frameworks."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import graphprune
from graphprune.errors import UnsupportedModelError
from tests.compiler.quantized.tools import Weights, assert_read, proto

_X = "d = DequantizeLinear (q, s, z)"
_IMAGE = "g (float[1,4,5,5] x) => (float[1,4,5,5] y) { q = QuantizeLinear (x, s, z) " + _X
_STEP: Weights = {"s": np.float32(0.02), "z": np.int8(0)}
_SCALES = np.array([0.003, 0.004, 0.005, 0.006], np.float32)
_FLOATS: Weights = {**_STEP, "w": (4, 4, 3, 3), "ws": _SCALES, "wz": np.zeros(4, np.int8)}
_INTEGERS: Weights = {**_FLOATS, "w": np.random.default_rng(0).integers(-128, 128, (4, 4, 3, 3)).astype(np.int8)}
_CONV = "Conv <pads = [1,1,1,1]>"
_ROWS: Weights = {"w": np.arange(-12, 12, dtype=np.int8).reshape(8, 3), "ws": np.float32(0.1)}

GRAPHS: dict[str, tuple[str, Weights]] = {
    "weights are quantized in the graph": (
        f"""{_IMAGE} wq = QuantizeLinear <axis = 0> (w, ws, wz) wd = DequantizeLinear <axis = 0> (wq, ws, wz)
        c = {_CONV} (d, wd) y = Relu (c) }}""",
        _FLOATS,
    ),
    "a range without the lowest integer": (
        f"""{_IMAGE} low = Constant <value = int8 {{-127}}> () high = Constant <value = int8 {{127}}> ()
        wq = QuantizeLinear <axis = 0> (w, ws, wz) wc = Clip (wq, low, high)
        wd = DequantizeLinear <axis = 0> (wc, ws, wz) y = {_CONV} (d, wd) }}""",
        _FLOATS,
    ),
    "one input of a residual, and a value that several read": (
        f"""{_IMAGE} e = DequantizeLinear <axis = 0> (w, ws) a = {_CONV} (d, e) b = {_CONV} (d, e)
        aq = QuantizeLinear (a, s, z) ad = DequantizeLinear (aq, s, z) t = Add (ad, b) y = Add (t, d) }}""",
        _INTEGERS,
    ),
}
PRODUCTS: dict[str, tuple[str, Weights]] = {
    "zero points": ("q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)", _STEP),
    "no zero points": ("q = QuantizeLinear (x, s) d = DequantizeLinear (q, s)", {"s": np.float32(0.02)}),
    "constants in nodes": (
        """s = Constant <value = float[1] {0.02}> () z = Constant <value = int8[1] {3}> ()
        q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)""",
        {},
    ),
}
NEW: dict[str, tuple[int, str, Weights]] = {
    "output_dtype": (21, "q = QuantizeLinear <output_dtype = 3> (x, s) d = DequantizeLinear (q, s)", _STEP),
    "words": (21, "q = QuantizeLinear <output_dtype = 5> (x, t) d = DequantizeLinear (q, t)", {"t": np.float32(2e-4)}),
    "nibbles that are moved": (
        21,
        "q = QuantizeLinear <output_dtype = 22> (x, t) p = Transpose (q) o = Transpose (p) d = DequantizeLinear (o, t)",
        {"t": np.float32(0.2)},
    ),
    "nibbles along an axis": (
        21,
        "q = QuantizeLinear (x, t, p) d = DequantizeLinear (q, t, p)",
        {"t": np.linspace(0.1, 0.3, 8, dtype="f"), "p": np.arange(8).astype(ml_dtypes.uint4)},
    ),
    "blocks of activations": (
        21,
        "q = QuantizeLinear <block_size = 4> (x, t, p) d = DequantizeLinear <block_size = 4> (q, t, p)",
        {"t": np.array([[0.02, 0.03], [0.01, 0.04]], "f"), "p": np.array([[1, 2], [3, 4]], np.int8)},
    ),
    "halves": (
        23,
        "q = QuantizeLinear (x, s, z) h = DequantizeLinear <output_dtype = 10> (q, s, z) d = Cast <to = 1> (h)",
        _STEP,
    ),
}


def write(path: Path, text: str, arrays: Weights, opset: int) -> Path:
    path.write_bytes(proto(text, arrays, opset).SerializeToString())
    return path


@pytest.mark.parametrize("name", GRAPHS)
def test_images(tmp_path: Path, name: str) -> None:
    assert_read(write(tmp_path / "m.onnx", *GRAPHS[name], 13))


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(tmp_path: Path, name: str, opset: int) -> None:
    start, arrays = PRODUCTS[name]
    text = f"g (float[2,8] x) => (float[2,3] y) {{ {start} e = DequantizeLinear (w, ws) y = MatMul (d, e) }}"
    assert_read(write(tmp_path / "m.onnx", text, {**arrays, **_ROWS}, opset))


@pytest.mark.parametrize("name", NEW)
def test_what_newer_opsets_have(tmp_path: Path, name: str) -> None:
    opset, start, arrays = NEW[name]
    assert_read(write(tmp_path / "m.onnx", f"g (float[2,8] x) => (float[2,8] d) {{ {start} }}", arrays, opset), 1e-3)


def test_floats_of_8_bits_are_refused_by_name(tmp_path: Path) -> None:
    text = "g (float[2,8] x) => (float[2,8] y) { [q] q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }"
    arrays: Weights = {"s": np.float32(0.02), "z": np.array(0, ml_dtypes.float8_e4m3fn)}
    model = graphprune.load(write(tmp_path / "m.onnx", text, arrays, 19))
    with pytest.raises(UnsupportedModelError, match=r"'q.*' \(QuantizeLinear\): .*FLOAT8E4M3FN.*\[GP401\]"):
        graphprune.compile(model)


def test_a_chain_of_narrow_integers_compiles_in_one_kernel(tmp_path: Path) -> None:
    pairs, last = "", "x"
    for number in range(6):
        pairs += f" q{number} = QuantizeLinear ({last}, s, z) d{number} = DequantizeLinear (q{number}, s, z)"
        pairs += f" a{number} = LeakyRelu (d{number})"
        last = f"a{number}"
    text = f"g (float[2,8] x) => (float[2,8] y) {{ {pairs} y = Neg ({last}) }}"
    arrays: Weights = {"s": np.float32(1e-3), "z": np.int16(5)}
    assert_read(write(tmp_path / "m.onnx", text, arrays, 21), 2e-3)
