"""Depthwise convolutions of bytes against NumPy's sums of 64 bits, bytes in and bytes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.backends.tvm.graphs import Initializer, compile_, kernels, parse, prepared

Array = np.ndarray
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Layer:
    """Outputs a channel, the kernel, and what it slides over; pads are (top, left, bottom, right)."""

    shape: tuple[int, int, int, int]
    multiplier: int = 1
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)

    @property
    def attributes(self) -> str:
        given = {"strides": self.strides, "dilations": self.dilations, "pads": self.pads}
        return f"group={self.shape[1]}, " + ", ".join(f"{name}={list(values)}" for name, values in given.items())

    def weight(self) -> Array:
        """Signed bytes, the extremes among them."""
        weight = RNG.integers(-128, 128, (self.shape[1] * self.multiplier, 1, *self.kernel)).astype(np.int8)
        weight.flat[:2] = -128, 127
        return weight

    def sums(self, x: Array, weight: Array) -> Array:
        """Of int64 images."""
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        reach = [(n - 1) * dilation + 1 for n, dilation in zip(self.kernel, self.dilations, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, :: self.strides[0], :: self.strides[1], :: self.dilations[0], :: self.dilations[1]]
        own = weight.astype(np.int64).reshape(self.shape[1], self.multiplier, *self.kernel)
        sums: Array = np.einsum("ncpqhw,cmhw->ncmpq", windows, own)
        return sums.reshape(len(x), -1, *sums.shape[-2:])


LAYERS = {
    "3x3": Layer((2, 5, 9, 11)),
    "3x3 of rows that are cut": Layer((1, 2, 5, 150)),
    "3x3 of rows longer than a tile of several": Layer((1, 3, 30, 29)),
    "3x3 of few positions": Layer((1, 20, 3, 3)),
    "3x3 without pads": Layer((1, 5, 9, 11), pads=(0, 0, 0, 0)),
    "3x3 at stride 2": Layer((1, 5, 9, 12), strides=(2, 2)),
    "3x3 at stride 2, pads behind": Layer((1, 5, 28, 28), strides=(2, 2), pads=(0, 0, 1, 1)),
    "3x3, several outputs a channel": Layer((2, 4, 7, 8), multiplier=3),
    "3x3, dilated": Layer((1, 5, 13, 11), dilations=(2, 2), pads=(2, 2, 2, 2)),
    "5x5": Layer((1, 5, 14, 14), kernel=(5, 5), pads=(2, 2, 2, 2)),
    "5x5 at stride 2": Layer((1, 5, 15, 14), kernel=(5, 5), strides=(2, 2), pads=(2, 2, 2, 2)),
    "7x7 at stride 3": Layer((1, 5, 15, 14), kernel=(7, 7), strides=(3, 3), pads=(3, 3, 3, 3)),
    "9x9, of more words than are written out": Layer((1, 2, 14, 14), kernel=(9, 9), pads=(4, 4, 4, 4)),
    "2x1 at other strides along each axis": Layer((1, 5, 9, 8), kernel=(2, 1), strides=(1, 3), pads=(0, 0, 1, 0)),
}


def activations(dtype: str, shape: tuple[int, ...]) -> Array:
    limits = np.iinfo(dtype)
    x = RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)
    x.flat[:2] = limits.min, limits.max
    return x


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "zero"), [("uint8", None), ("uint8", 255), ("int8", -128)])
def test_sums_are_exact(name: str, dtype: str, zero: int | None) -> None:
    layer = LAYERS[name]
    x, weight = activations(dtype, layer.shape), layer.weight()
    expected = layer.sums(x.astype(np.int64) - (zero or 0), weight)
    point = {} if zero is None else {"z": np.array(zero, dtype)}
    text = f"g ({dtype}{list(x.shape)} x) => (int32{list(expected.shape)} y) "
    text += f"{{ y = ConvInteger<{layer.attributes}>(x,w{''.join(f',{name}' for name in point)}) }}"
    model = parse(text, {"w": weight, **point})
    assert kernels(model) == ["window_int8"]
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)


def test_over_one_axis() -> None:
    layer = Layer((2, 6, 1, 30), kernel=(1, 5), pads=(0, 2, 0, 2))
    x, weight = activations("uint8", (2, 6, 30)), layer.weight()
    text = "g (uint8[2,6,30] x) => (int32[2,6,30] y) { y = ConvInteger<group=6,pads=[2,2]>(x,w,z) }"
    found = compile_(parse(text, {"w": weight[:, :, 0], "z": np.array(9, np.uint8)})).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, layer.sums(x[:, :, None].astype(np.int64) - 9, weight)[:, :, 0])


def test_several_threads_share_the_work() -> None:
    layer = Layer((1, 13, 24, 24))
    x, weight = activations("uint8", layer.shape), layer.weight()
    text = f"g (uint8[1,13,24,24] x) => (int32[1,13,24,24] y) {{ y = ConvInteger<{layer.attributes}>(x,w) }}"
    found = compile_(parse(text, {"w": weight}), threads=2).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, layer.sums(x.astype(np.int64), weight))


def quantized(layer: Layer, behind: str, constants: dict[str, Initializer], dtype: str) -> tuple[Array, Array]:
    """What a layer between DequantizeLinear and `behind` gives, and twice its floats, which are integers."""
    x, weight = activations("uint8", layer.shape), layer.weight()
    sums = layer.sums(x.astype(np.int64) - 128, weight)
    text = f"""g (uint8{list(x.shape)} x) => ({dtype}{list(sums.shape)} y) {{
        d = DequantizeLinear(x,half,xz)
        v = DequantizeLinear(w,one)
        c = Conv<{layer.attributes}>(d,v,b)
        {behind} }}"""
    every: dict[str, Initializer] = {
        "half": np.array(0.5, np.float32),
        "one": np.array(1, np.float32),
        "xz": np.array(128, np.uint8),
        "w": weight,
        "b": np.arange(len(weight), dtype=np.float32),
        **constants,
    }
    model = parse(text, every, opset=21)
    assert kernels(model) == ["window_int8"]
    return compile_(model).run(None, {"x": x})[0], sums + 2 * np.arange(len(weight)).reshape(-1, 1, 1)


@pytest.mark.parametrize("name", ["3x3", "3x3 at stride 2", "3x3 of rows that are cut", "5x5"])
@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 0), ("uint8", 131), ("int8", -7), ("int8", 0)])
@pytest.mark.parametrize("step", [1, 64])
def test_what_is_quantized_next_is_rounded_to_even_and_saturated(name: str, dtype: str, zero: int, step: int) -> None:
    """Half of the sums lie in the middle between two levels at a step of 1, where most saturate."""
    constants: dict[str, Initializer] = {"ys": np.array(step, np.float32), "yz": np.array(zero, dtype)}
    found, doubled = quantized(LAYERS[name], "y = QuantizeLinear(c,ys,yz)", constants, dtype)
    limits = np.iinfo(dtype)
    expected = np.clip(np.rint(doubled / (2 * step)) + zero, limits.min, limits.max)
    np.testing.assert_array_equal(found, expected)
    assert {limits.min, limits.max} <= set(found.ravel().tolist())


def test_an_activation_and_a_residual_are_in_the_same_kernel() -> None:
    layer = LAYERS["3x3"]
    residual = RNG.integers(0, 100, (1, 5, 9, 11)).astype(np.float32)
    constants: dict[str, Initializer] = {
        "r": residual,
        "low": np.array(0, np.float32),
        "high": np.array(6000, np.float32),
        "ys": np.array(32, np.float32),
        "yz": np.array(0, np.uint8),
    }
    body = "a = Add(c,r)\n t = Clip(a,low,high)\n y = QuantizeLinear(t,ys,yz)"
    found, doubled = quantized(layer, body, constants, "uint8")
    expected = np.rint(np.clip(doubled / 2 + residual, 0, 6000) / 32)
    np.testing.assert_array_equal(found, expected)


def test_groups_of_several_channels_are_products_of_floats() -> None:
    weight = np.full((4, 2, 1, 1), 127, np.int8)
    model = parse("g (uint8[1,4,5,5] x) => (int32[1,4,5,5] y) { y = ConvInteger<group=2>(x,w) }", {"w": weight})
    assert "ConvInteger" not in [node.op_type for node in prepared(model).graph]
