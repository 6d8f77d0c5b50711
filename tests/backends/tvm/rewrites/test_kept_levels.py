"""Products behind operators that keep their values multiply integers all the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, lowered_near, parse, prepared

RNG = np.random.default_rng(0)


def signed(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


CONSTANTS: dict[str, Initializer] = {
    "xs": np.array(0.02, np.float32),
    "xz": np.array(121, np.uint8),
    "signs": np.array(3, np.int8),
    "other": np.array(0.03, np.float32),
    "negative": np.array(-0.02, np.float32),
    "each": RNG.uniform(0.01, 0.02, 6).astype(np.float32),
    "s": np.array(0.01, np.float32),
    "image": signed(4, 6, 1, 1),
    "wide": signed(4, 12, 1, 1),
    "rows": signed(24, 7),
    "columns": signed(6, 5),
    "flat": np.array([1, 24], np.int64),
    "zero": np.array([0], np.int64),
    "one": np.array([1], np.int64),
    "six": np.array([6], np.int64),
    "axes": np.array([2], np.int64),
}
X, V = "d = DequantizeLinear(x, xs, xz)", "v = DequantizeLinear"
ROWS = f"{V}(rows, s) y = MatMul(f, v)"
CONV = f"{V}(image, s) y = Conv(p, v)"
JOINED = f"c = Concat<axis=1>(d, e) {V}(wide, s) y = Conv(c, v)"
MAP = "uint8[1,6,4,4] x) => (float[1,4,N,N] y"
SMALL = "uint8[1,6,2,2] x) => (float[1,7] y"


def check(signature: str, body: str) -> list[str]:
    """Compare with ONNX Runtime, and return the operators that are lowered."""
    used = {name: array for name, array in CONSTANTS.items() if name in re.findall(r"\w+", body)}
    return lowered_near(parse(f"g ({signature}) {{ {body} }}", used, opset=21))


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (MAP.replace("N", "2"), f"{X} p = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(d) {CONV}"),
        (
            MAP.replace("N", "3").replace("uint8", "int8"),
            f"d = DequantizeLinear(x, xs) p = MaxPool<kernel_shape=[2,2]>(d) {CONV}",
        ),
        (SMALL, f"{X} f = Flatten(d) {ROWS}"),
        (SMALL, f"{X} f = Reshape(d, flat) {V}(rows, s) y = Gemm(f, v)"),
        (SMALL, f"{X} t = Transpose<perm=[0,2,3,1]>(d) f = Reshape(t, flat) {ROWS}"),
        (SMALL, f"{X} p = MaxPool<kernel_shape=[1,1]>(d) f = Flatten(p) {ROWS}"),
        ("uint8[1,6,1] x) => (float[1,5] y", f"{X} f = Squeeze(d, axes) {V}(columns, s) y = MatMul(f, v)"),
        (MAP.replace("N", "4"), f"{X} e = Slice(d, zero, six, one) {JOINED}"),
    ],
)  # fmt: skip
def test_a_product_behind_multiplies_integers(signature: str, body: str) -> None:
    found = check(signature, body)
    assert {"ConvInteger", "MatMulInteger"} & set(found)
    assert "DequantizeLinear" not in found


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (SMALL, f"d = DequantizeLinear<axis=1>(x, each) f = Flatten(d) {ROWS}"),
        (SMALL, f"d = DequantizeLinear(x, negative, xz) p = MaxPool<kernel_shape=[1,1]>(d) f = Flatten(p) {ROWS}"),
        (
            MAP.replace("N", "4"),
            f"{X} e = DequantizeLinear(x, other, xz) {JOINED}",
        ),
        (
            MAP.replace("N", "4"),
            f"{X} i = Cast<to=3>(x) e = DequantizeLinear(i, xs, signs) {JOINED}",
        ),
        (SMALL, f"{X} a = Abs(d) f = Flatten(a) {ROWS}"),
        (SMALL + ", float[1,24] f", f"{X} f = Flatten(d) {ROWS}"),
    ],
)  # fmt: skip
def test_values_of_other_steps_stay_floats(signature: str, body: str) -> None:
    assert not {"ConvInteger", "MatMulInteger"} & set(check(signature, body))


def test_what_no_product_reads_stays_as_it_is() -> None:
    assert "QuantizeLinear" not in check(
        "uint8[1,6,4,4] x) => (float[1,6,3,3] y", f"{X} p = MaxPool<kernel_shape=[2,2]>(d) y = Relu(p)"
    )


def test_readers_other_than_products_read_the_same() -> None:
    body = f"{X} f = Flatten(d) {ROWS} r = Relu(f)"
    assert "MatMulInteger" in check(SMALL + ", float[1,24] r", body)


REQUANTIZED = f"{X} p = MaxPool<kernel_shape=[2,2]>(d) q = QuantizeLinear(p, STEP) e = DequantizeLinear(q, xs, xz)"


@pytest.mark.parametrize(
    ("step", "operators"),
    [
        ("xs, xz", ["MaxPool", "ConvInteger"]),
        ("other, xz", ["MaxPool", "DequantizeLinear", "QuantizeLinear", "ConvInteger"]),
    ],
)
def test_levels_of_the_same_step_are_not_quantized_again(step: str, operators: list[str]) -> None:
    body = f"{REQUANTIZED.replace('STEP', step)} {V}(image, s) y = Conv(e, v)"
    assert check(MAP.replace("N", "3"), body)[: len(operators)] == operators


def test_outputs_of_the_same_step_keep_their_names() -> None:
    body = f"{X} p = MaxPool<kernel_shape=[2,2]>(d) y = QuantizeLinear(p, xs, xz) z = QuantizeLinear(p, xs, xz)"
    text = f"g (uint8[1,6,4,4] x) => (uint8[1,6,3,3] y, uint8[1,6,3,3] z) {{ {body} }}"
    model = parse(text, {name: CONSTANTS[name] for name in ("xs", "xz")}, opset=21)
    assert [output.name for output in prepared(model).graph.outputs] == ["y", "z"]
