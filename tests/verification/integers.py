"""Small quantized models in several forms, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir

SHAPE = "float[1,4,24,24]"
QDQ = f"""g ({SHAPE} x) => ({SHAPE} y) {{
    [q1] a = QuantizeLinear(x, sx, zx) [d1] b = DequantizeLinear(a, sx, zx)
    [d2] v = DequantizeLinear(w, sw)
    [conv1] c = Conv<pads = [1,1,1,1]>(b, v) [clip] d = Clip(c, least, most)
    [q2] e = QuantizeLinear(d, sd, zd) [d3] f = DequantizeLinear(e, sd, zd)
    [d4] u = DequantizeLinear(k, sk)
    [conv2] h = Conv<pads = [1,1,1,1]>(f, u)
    [q3] i = QuantizeLinear(h, sh, zh) [d5] y = DequantizeLinear(i, sh, zh) }}"""
"""Two convolutions with QuantizeLinear and DequantizeLinear around them; the last result is an output as floats."""

OPERATORS = f"""g ({SHAPE} x) => ({SHAPE} y) {{
    a = QuantizeLinear(x, sx, zx)
    [conv1] e = QLinearConv<pads = [1,1,1,1]>(a, sx, zx, w, sw, none, sd, zd)
    [conv2] i = QLinearConv<pads = [1,1,1,1]>(e, sd, zd, k, sk, none, sh, zh)
    [d5] y = DequantizeLinear(i, sh, zh) }}"""
"""The same but for the clip, with operators on integers."""

DYNAMIC = """g (float[16,32] x) => (float[16,8] y) {
    [q1] h = MatMul(x, m) [q2] a, s, z = DynamicQuantizeLinear(h)
    [product] p = MatMulInteger(a, k, z) t = Cast<to = 1>(p) [y] y = Mul(t, s) }"""

Constants = Mapping[str, np.ndarray]


def constants() -> dict[str, np.ndarray]:
    """What QDQ and OPERATORS read."""
    rng = np.random.default_rng(0)
    scales = {"sx": 0.03, "sw": 0.002, "sd": 0.02, "sk": 0.003, "sh": 0.03, "least": -2.0, "most": 2.0}
    zeros = {"zx": 128, "zd": 120, "zh": 130}
    return {
        **{name: rng.integers(-127, 128, (4, 4, 3, 3)).astype(np.int8) for name in ("w", "k")},
        **{name: np.array(value, np.float32) for name, value in scales.items()},
        **{name: np.array(value, np.uint8) for name, value in zeros.items()},
        "none": np.array(0, np.int8),
    }


def dynamic_constants() -> dict[str, np.ndarray]:
    """What DYNAMIC reads."""
    rng = np.random.default_rng(0)
    return {
        "m": rng.standard_normal((32, 16)).astype(np.float32),
        "k": rng.integers(-127, 128, (16, 8)).astype(np.int8),
    }


def model(
    text: str = QDQ, changed: Constants | None = None, given: Constants | None = None, opset: int = 20
) -> ir.Model:
    """The model of a text, of whose constants some are changed."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>\n{text}')
    read = {name for node in proto.graph.node for name in node.input}
    for name, array in {**(constants() if given is None else given), **(changed or {})}.items():
        if name in read:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def reordered(text: str = QDQ, by: float = 2.0**-20) -> str:
    """The text with what the second quantizer reads moved by as little as another order of sums moves it."""
    old, new = (
        "[q2] e = QuantizeLinear(d,",
        "near = Constant<value_float = {}>() r = Mul(d, near) [q2] e = QuantizeLinear(r,",
    )
    assert old in text
    return text.replace(old, new.format(1 + by))


def a_level_off(name: str) -> dict[str, np.ndarray]:
    """One weight of this tensor larger by one level."""
    weight = constants()[name]
    weight[1, 2, 1, 1] += 1
    return {name: weight}
