"""Operators written as others, against ONNX Runtime's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphprune as gp
from graphprune.errors import UnsupportedModelError
from tests.backends.tvm.graphs import Initializer, assert_equal_on, compile_, kernels, parse

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Normal float32 values."""
    return RNG.standard_normal(shape).astype(np.float32)


def small(*shape: int, kind: str = "uint8") -> np.ndarray:
    """Integers of 8 bits."""
    info = np.iinfo(kind)
    return RNG.integers(info.min, info.max + 1, shape).astype(kind)


CASES: dict[str, tuple[str, dict[str, Initializer], dict[str, np.ndarray]]] = {
    "integer products, a zero point a row and a column": (
        "g (uint8[3,4] a, uint8[4,5] b, uint8 za, uint8 zb) => (int32[3,5] y) { y = MatMulInteger(a,b,za,zb) }",
        {},
        {"a": small(3, 4), "b": small(4, 5), "za": small()[...], "zb": small()[...]},
    ),
    "integer convolution": (
        """g (uint8[1,3,6,6] x, uint8[4,3,3,3] w, uint8 zx, uint8 zw) => (int32[1,4,6,6] y) {
            y = ConvInteger<pads=[1,1,1,1]>(x,w,zx,zw) }""",
        {},
        {"x": small(1, 3, 6, 6), "w": small(4, 3, 3, 3), "zx": small()[...], "zw": small()[...]},
    ),
    "quantized products": (
        """g (uint8[3,4] a, uint8[4,5] b) => (uint8[3,5] y) { y = QLinearMatMul(a,sa,za,b,sb,zb,sy,zy) }""",
        {
            "sa": np.array(0.02, np.float32),
            "sb": np.array(0.03, np.float32),
            "sy": np.array(0.11, np.float32),
            "za": np.array(120, np.uint8),
            "zb": np.array(99, np.uint8),
            "zy": np.array(128, np.uint8),
        },
        {"a": small(3, 4), "b": small(4, 5)},
    ),
    "quantized convolution with a scale a channel and a bias": (
        """g (uint8[1,3,6,6] x) => (uint8[1,4,6,6] y) {
            y = QLinearConv<pads=[1,1,1,1]>(x,sx,zx,w,sw,zw,sy,zy,b) }""",
        {
            "sx": np.array(0.02, np.float32),
            "zx": np.array(120, np.uint8),
            "sy": np.array(0.5, np.float32),
            "sw": np.array([0.1, 0.2, 0.3, 0.05], np.float32),
            "zw": np.array([0, 0, 0, 0], np.int8),
            "zy": np.array(100, np.uint8),
            "w": small(4, 3, 3, 3, kind="int8"),
            "b": RNG.integers(-999, 999, 4).astype(np.int32),
        },
        {"x": small(1, 3, 6, 6)},
    ),
    "quantization in blocks": (
        """g (float[4,6] x) => (int8[4,6] y, float[4,6] z) {
            y = QuantizeLinear<axis=1,block_size=3>(x,s,p)
            z = DequantizeLinear<axis=1,block_size=3>(y,s,p) }""",
        {"s": np.abs(normal(4, 2)) + 0.1, "p": small(4, 2, kind="int8") // 10},
        {"x": normal(4, 6) * 4},
    ),
    "local response": (
        "g (float[2,7,5,6] x) => (float[2,7,5,6] y) { y = LRN<size=5,alpha=0.3,beta=0.6,bias=1.5>(x) }",
        {},
        {"x": normal(2, 7, 5, 6)},
    ),
    "local response over more neighbours than there are channels": (
        "g (float[2,7,5,6] x) => (float[2,7,5,6] y) { y = LRN<size=1001,alpha=0.3,beta=0.6,bias=1.5>(x) }",
        {},
        {"x": normal(2, 7, 5, 6)},
    ),
    "norms along an axis": (
        """g (float[3,4,5] x) => (float[3,4,5] y, float[3,4,5] z) {
            y = LpNormalization<axis=1,p=1>(x)
            z = LpNormalization(x) }""",
        {},
        {"x": normal(3, 4, 5)},
    ),
    "norms of windows": (
        """g (float[1,2,6,6] x) => (float[1,2,3,3] y, float[1,2,1,1] z) {
            y = LpPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,0,0],p=3>(x)
            z = GlobalLpPool<p=1>(x) }""",
        {},
        {"x": normal(1, 2, 6, 6)},
    ),
    "one for the largest": (
        "g (float[3,4,5] x) => (float[3,4,5] y) { y = Hardmax<axis=1>(x) }",
        {},
        {"x": normal(3, 4, 5)},
    ),
    "everything kept": (
        "g (float[3,4] x) => (float[3,4] y, bool[3,4] m) { y, m = Dropout(x) }",
        {},
        {"x": normal(3, 4)},
    ),
    "depth to space and back": (
        """g (float[2,8,3,5] x) => (float[2,8,3,5] y, float[2,2,6,10] z) {
            d = DepthToSpace<blocksize=2>(x)
            y = SpaceToDepth<blocksize=2>(d)
            z = DepthToSpace<blocksize=2,mode="CRD">(x) }""",
        {},
        {"x": normal(2, 8, 3, 5)},
    ),
    "gathering inside a batch": (
        "g (float[2,3,4] x, int64[2,5,1] i) => (float[2,5,4] y) { y = GatherND<batch_dims=1>(x,i) }",
        {},
        {"x": normal(2, 3, 4), "i": RNG.integers(-3, 3, (2, 5, 1))},
    ),
    "rows kept by a known condition": (
        "g (float[4,5] x) => (float[2,5] y, float[3] z) { y = Compress<axis=0>(x,c)\n z = Compress(x,c2) }",
        {"c": np.array([True, False, False, True]), "c2": np.array([True, False, True, True, False])},
        {"x": normal(4, 5)},
    ),
    "any and all of booleans": (
        """g (bool[4,5] x) => (bool[4] y, bool[5] z) {
            y = ReduceMax<keepdims=0>(x,a)
            z = ReduceMin<keepdims=0>(x,b) }""",
        {"a": np.array([1]), "b": np.array([0])},
        {"x": RNG.integers(0, 2, (4, 5)).astype(np.bool_)},
    ),
    "the mean and deviation of a layer normalisation": (
        """g (float[3,4,5] x, float[5] s, float[5] b) => (float[3,4,5] y, float[3,4,1] m, float[3,4,1] d) {
            y, m, d = LayerNormalization(x,s,b) }""",
        {},
        {"x": normal(3, 4, 5), "s": normal(5), "b": normal(5)},
    ),
    "a normalisation of doubles whose scale lies along another axis": (
        """g (double[2,3,4,1] x, double[3,1,1] s, double[3,4,1] b) => (double[2,3,4,1] y) {
            y = LayerNormalization<axis=-2,epsilon=0.01>(x,s,b) }""",
        {},
        {"x": normal(2, 3, 4, 1).astype("f8"), "s": normal(3, 1, 1).astype("f8"), "b": normal(3, 4, 1).astype("f8")},
    ),
    "a mean beside a normalisation whose scale lies along another axis": (
        """g (float[2,3,4] x, float[3,1] s) => (float[2,3,4] y, float[2,3,1] m) {
            y, m = LayerNormalization(x,s) }""",
        {},
        {"x": normal(2, 3, 4), "s": normal(3, 1)},
    ),
    **{
        f"quantization with a scale of its own, of {name}": (
            "g (float[2,3] x) => (uint8[2,3] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear(x) }",
            {},
            {"x": x},
        )
        for name, x in (
            ("both signs", normal(2, 3)),
            ("one sign", np.abs(normal(2, 3)) + 1),
            ("zeros", np.zeros((2, 3), np.float32)),
        )
    },
    "normalisation in groups": (
        """g (float[2,6,5] x, float[6] s, float[6] b) => (float[2,6,5] y) {
            y = GroupNormalization<num_groups=3>(x,s,b) }""",
        {},
        {"x": normal(2, 6, 5), "s": normal(6), "b": normal(6)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_as_onnx_runtime(name: str) -> None:
    text, constants, feed = CASES[name]
    assert_equal_on(feed, parse(text, constants, opset=21), 2e-5, 2e-5)


@pytest.mark.parametrize("one_sided", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_fourier_transform(axis: int, one_sided: int) -> None:
    x = normal(5, 8, 1)
    expected = (np.fft.rfft if one_sided else np.fft.fft)(x[..., 0], axis=axis)
    shape = ",".join(map(str, expected.shape))
    text = f"g (float[5,8,1] x) => (float[{shape},2] y) {{ y = DFT<onesided={one_sided}>(x,,a) }}"
    result = compile_(parse(text, {"a": np.array(axis)})).run(None, {"x": x})[0]
    np.testing.assert_allclose(result[..., 0] + 1j * result[..., 1], expected, atol=1e-5)


@pytest.mark.parametrize(("opset", "axis"), [(18, 1), (19, 1), (20, 2), (24, 2)])
def test_the_axis_of_a_transform_that_names_none(opset: int, axis: int) -> None:
    x = normal(3, 4, 5, 1)
    model = parse("g (float[3,4,5,1] x) => (float[3,4,5,2] y) { y = DFT(x) }", opset=opset)
    result = compile_(model).run(None, {"x": x})[0]
    expected = np.fft.fft(x[..., 0], axis=axis)
    np.testing.assert_allclose(result[..., 0] + 1j * result[..., 1], expected, atol=1e-5)
    np.testing.assert_allclose(gp.to_torch(model)(torch.from_numpy(x)).numpy(), result, atol=1e-5)


def test_a_transform_whose_matrix_is_too_large_is_refused() -> None:
    model = parse("g (float[1,20000,1] x) => (float[1,20000,2] y) { y = DFT(x) }", opset=20)
    reason = "its length must be constant, at most that of 4,096 complex points"
    with pytest.raises(UnsupportedModelError, match=rf"^cannot lower 1 nodes .*\(DFT\): {reason} \[GP401\]$"):
        compile_(model)


def test_inverse_fourier_transform_of_a_longer_signal() -> None:
    signal = RNG.standard_normal((3, 8))
    spectrum = np.fft.fft(signal)
    x = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)
    text = "g (float[3,8,2] x) => (float[3,8,2] y) { y = DFT<inverse=1>(x,,a) }"
    result = compile_(parse(text, {"a": np.array(1)})).run(None, {"x": x})[0]
    np.testing.assert_allclose(result[..., 0], signal, atol=1e-6)
    np.testing.assert_allclose(result[..., 1], 0, atol=1e-6)


RECURRENT = {"RNN": (1, 1), "GRU": (3, 1), "LSTM": (4, 2)}


@pytest.mark.parametrize(
    ("operator", "direction"), [("RNN", "reverse"), ("GRU", "bidirectional"), ("LSTM", "forward"), ("LSTM", "reverse")]
)
def test_recurrent_layers_with_sequences_of_their_own_length(operator: str, direction: str) -> None:
    gates, states = RECURRENT[operator]
    ways, steps, batch, features, hidden = (2 if direction == "bidirectional" else 1), 3, 3, 4, 6
    weights = {
        "w": normal(ways, gates * hidden, features),
        "r": normal(ways, gates * hidden, hidden),
        "b": normal(ways, 2 * gates * hidden),
    }
    state = f"float[{ways},{batch},{hidden}]"
    names = ["h", "c"][:states]
    ins = ", ".join(f"{state} {n}" for n in names)
    outs = ", ".join(f"{state} {n}_y" for n in names)
    text = f"""g (float[{steps},{batch},{features}] x, int32[{batch}] n, {ins})
        => (float[{steps},{ways},{batch},{hidden}] y, {outs}) {{
        y, {", ".join(f"{n}_y" for n in names)} =
            {operator}<hidden_size={hidden},direction="{direction}">(x,w,r,b,n,{",".join(names)}) }}"""
    feed = {"x": normal(steps, batch, features), "n": np.array([3, 1, 2], np.int32)}
    feed |= {name: normal(ways, batch, hidden) for name in names}
    assert_equal_on(feed, parse(text, weights), 1e-4, 1e-5)


def test_a_pad_before_a_convolution_is_its_own() -> None:
    text = """g (float[1,3,8,8] x) => (float[1,5,5,5] y) {
        p = Pad(x,pads)
        y = Conv<strides=[2,2],pads=[1,0,0,1]>(p,w) }"""
    model = parse(text, {"pads": np.array([0, 0, 0, 1, 0, 0, 2, 1]), "w": (5, 3, 3, 3)})
    assert "concat" not in kernels(model)
    assert_equal_on({"x": normal(1, 3, 8, 8)}, model, 2e-5, 2e-5)


@pytest.mark.parametrize(
    "pad",
    [
        "p = Pad(x,pads,one)",
        'p = Pad<mode="edge">(x,pads)',
        "p = Pad(x,channels)",
    ],
)
def test_other_pads_stay(pad: str) -> None:
    channels = 4 if "channels" in pad else 3
    side = 8 if "channels" in pad else 10
    text = f"""g (float[1,3,8,8] x) => (float[1,5,{side - 2},{side - 2}] y) {{
        {pad}
        y = Conv(p,w) }}"""
    constants: dict[str, Initializer] = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "channels": np.array([0, 1, 0, 0, 0, 0, 0, 0]),
        "one": np.array(1, np.float32),
        "w": (5, channels, 3, 3),
    }
    model = parse(text, constants)
    assert "concat" in kernels(model)
    assert_equal_on({"x": normal(1, 3, 8, 8)}, model, 2e-5, 2e-5)


HALVES = {
    "a layer": "y = LayerNormalization(x,g,g)",
    "an instance": "y = InstanceNormalization(x,c,c)",
}


@pytest.mark.parametrize("name", HALVES)
def test_halves_far_from_zero_are_normalised_in_float32(name: str) -> None:
    """A float16 near 600 is a multiple of a half: in it, neither means nor squares of distances have a meaning."""
    initializers: dict[str, Initializer] = {"g": np.ones(64, np.float16), "c": np.ones(4, np.float16)}
    text = f"g (float16[2,4,64] x) => (float16[2,4,64] y) {{ {HALVES[name]} }}"
    x = (normal(2, 4, 64) + 600).astype(np.float16)
    assert_equal_on({"x": x}, parse(text, {key: initializers[key] for key in "gc" if f",{key}" in text}), 2e-3, 1e-3)
