"""Products by quantized weights that the graph transposes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, lowered_near, parse

RNG = np.random.default_rng(0)


def signed(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def scales(count: int) -> np.ndarray:
    return RNG.uniform(0.01, 0.02, count).astype(np.float32)


STEP: dict[str, Initializer] = {"xs": np.array(0.02, np.float32), "xz": np.array(121, np.uint8)}
X = "d = DequantizeLinear(x, xs, xz)"
ROWS, IMAGE = "uint8[2,5,12] x) => (float[2,5,7] y", "uint8[1,6,5,5] x) => (float[1,4,3,3] y"
ONE = np.array(0.01, np.float32)


def check(signature: str, body: str, constants: dict[str, Initializer]) -> list[str]:
    """Compare with ONNX Runtime, and return the operators that are lowered."""
    return lowered_near(parse(f"g ({signature}) {{ {X} {body} }}", {**STEP, **constants}, opset=21))


@pytest.mark.parametrize(
    ("signature", "body", "constants"),
    [
        (ROWS, "v = DequantizeLinear<axis=0>(w, s) t = Transpose<perm=[1,0]>(v)", {"w": signed(7, 12), "s": scales(7)}),
        (ROWS, "v = DequantizeLinear<axis=-2>(w, s) t = Transpose(v)", {"w": signed(7, 12), "s": scales(7)}),
        (ROWS, "v = DequantizeLinear(w, s) t = Transpose(v)", {"w": signed(7, 12), "s": ONE}),
        (
            ROWS,
            "v = DequantizeLinear<axis=0>(w, s, z) t = Transpose(v)",
            {"w": RNG.integers(1, 256, (7, 12)).astype(np.uint8), "s": scales(7), "z": np.full(7, 128, np.uint8)},
        ),
    ],
)
def test_a_product_by_a_transposed_weight_multiplies_integers(
    signature: str, body: str, constants: dict[str, Initializer]
) -> None:
    assert "MatMulInteger" in check(signature, f"{body} y = MatMul(d, t)", constants)


def test_a_transposed_kernel_keeps_its_scales() -> None:
    body = "v = DequantizeLinear<axis=1>(w, s) t = Transpose<perm=[1,3,0,2]>(v) y = Conv(d, t)"
    assert "ConvInteger" in check(IMAGE, body, {"w": signed(3, 4, 3, 6), "s": scales(4)})


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("v = DequantizeLinear<axis=1>(w, s) t = Transpose(v)", {"w": signed(7, 12), "s": scales(12)}),
        (
            "v = DequantizeLinear<axis=1,block_size=6>(w, s) t = Transpose(v)",
            {"w": signed(7, 12), "s": RNG.uniform(0.01, 0.02, (7, 2)).astype(np.float32)},
        ),
    ],
)
def test_scales_along_the_inputs_and_of_blocks_stay_floats(body: str, constants: dict[str, Initializer]) -> None:
    assert "MatMulInteger" not in check(ROWS, f"{body} y = MatMul(d, t)", constants)


def test_a_transposed_weight_that_is_an_output_too_is_given_as_floats() -> None:
    signature = f"{ROWS}, float[12,7] t"
    body = "v = DequantizeLinear<axis=0>(w, s) t = Transpose(v) y = MatMul(d, t)"
    lowered = check(signature, body, {"w": signed(7, 12), "s": scales(7)})
    assert "MatMulInteger" in lowered
    assert "Transpose" not in lowered
