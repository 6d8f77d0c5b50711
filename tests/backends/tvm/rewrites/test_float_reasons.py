"""What is said of products of quantized operands that run in float32, and that nothing is said of others."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, compile_, parse

RNG = np.random.default_rng(0)
X = "d = DequantizeLinear(x, xs, xz)"
WEIGHT = "v = DequantizeLinear<axis=0>(w, s)"


def signed(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def notes(signature: str, body: str, constants: dict[str, Initializer]) -> dict[str, tuple[str, str]]:
    given: dict[str, Initializer] = {"xz": np.array(121, np.uint8), "xs": np.array(0.02, np.float32)}
    model = parse(f"g ({signature}) {{ {body} }}", {**given, **constants}, opset=21)
    (program,) = compile_(model).description.programs
    return {note.node: (note.kernel, note.why) for note in program.kernels}


IMAGE, ROWS = "uint8[1,6,8,8] x) => (float[1,4,8,8] y", "uint8[5,12] x) => (float[5,7] y"
SCALES, SCALE = RNG.uniform(0.001, 0.01, 12).astype(np.float32), np.array(0.02, np.float32)

CASES: dict[str, tuple[str, str, dict[str, Initializer], str]] = {
    "it has 2 groups of several channels": (
        IMAGE,
        f"{X} {WEIGHT} [n] y = Conv<group=2>(d, v)",
        {"w": signed(4, 3, 1, 1), "s": SCALE},
        "n.Conv",
    ),
    "it has a window over 3 axes": (
        "uint8[1,6,4,4,4] x) => (float[1,4,4,4,4] y",
        f"{X} {WEIGHT} [n] y = Conv(d, v)",
        {"w": signed(4, 6, 1, 1, 1), "s": SCALE},
        "n.Conv",
    ),
    "both operands are activations": (
        "uint8[5,12] x, uint8[12,7] z) => (float[5,7] y",
        f"{X} e = DequantizeLinear(z, xs, xz) [n] y = MatMul(d, e)",
        {},
        "n",
    ),
    "its input is not quantized": (
        "uint8[5,12] x, float[3,5] z) => (float[3,12] y",
        f"{X} [n] y = MatMul(z, d)",
        {},
        "n",
    ),
    "its weight is not quantized": (ROWS, f"{X} [n] y = MatMul(d, w)", {"w": (12, 7)}, "n"),
    "its input is of uint16, not of bytes": (
        "uint16[5,12] x) => (float[5,7] y",
        f"d = DequantizeLinear(x, xs) {WEIGHT} [n] y = MatMul(d, v)",
        {"w": signed(12, 7), "s": SCALE},
        "n",
    ),
    "its weight has a scale for each block": (
        ROWS,
        f"{X} v = DequantizeLinear<axis=0,block_size=6>(w, s) [n] y = MatMul(d, v)",
        {"w": signed(12, 7), "s": np.full((2, 7), 0.01, np.float32)},
        "n",
    ),
    "its weight has scales along its inputs, or is no signed bytes without its zero point": (
        ROWS,
        f"{X} {WEIGHT} [n] y = MatMul(d, v)",
        {"w": signed(12, 7), "s": SCALES},
        "n",
    ),
    "its sums may need more than 32 bits": (
        "uint8[1,70000] x) => (float[1,2] y",
        f"{X} {WEIGHT} [n] y = MatMul(d, v)",
        {"w": np.full((70000, 2), 127, np.int8), "s": SCALE},
        "n",
    ),
    "Softmax has no kernel for integers": (
        "uint8[5,12] x) => (float[5,12] y",
        f"{X} [n] y = Softmax(d)",
        {},
        "n",
    ),
}


@pytest.mark.parametrize("reason", CASES)
def test_the_reason_is_given_with_the_node(reason: str) -> None:
    signature, body, constants, node = CASES[reason]
    found = {name: note for name, note in notes(signature, body, constants).items() if reason in note[1]}
    assert found, "it is said"
    assert all(name == node or name.startswith(f"{node}.") for name in found)
    assert all(kernel != "float32" or why == reason for kernel, why in found.values())


@pytest.mark.parametrize(
    ("signature", "body", "constants"),
    [
        (IMAGE, f"{X} {WEIGHT} [n] y = Conv(d, v)", {"w": signed(4, 6, 1, 1), "s": SCALE}),
        (
            "uint8[1,6,8,8] x) => (float[1,12,8,8] y",
            f"{X} {WEIGHT} [n] y = Conv<group=6>(d, v)",
            {"w": signed(12, 1, 1, 1), "s": SCALES},
        ),
        (ROWS, f"{X} {WEIGHT} [n] y = MatMul(d, v)", {"w": signed(12, 7), "s": SCALE}),
        (ROWS, "t = MatMulInteger(x, w, xz) [n] y = Cast<to=1>(t)", {"w": signed(12, 7)}),
        ("float[5,12] x) => (float[5,7] y", "[n] y = MatMul(x, w)", {"w": (12, 7)}),
        ("uint8[5,12] x) => (float[5,12] y", f"{X} [n] y = Relu(d)", {}),
    ],
)
def test_nothing_is_said_of_products_of_integers_and_of_floats(
    signature: str, body: str, constants: dict[str, Initializer]
) -> None:
    assert all("float32" not in (kernel, *why.split()) for kernel, why in notes(signature, body, constants).values())
