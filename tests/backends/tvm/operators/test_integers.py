"""ConvInteger and MatMulInteger with a constant weight, against NumPy's sums of 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.tvm.building.tuning import Emitted, Tuner
from graphprune.backends.tvm.lowering import graph
from graphprune.compiler.compile import compile as compile_model
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import compile_, kernels, parse, prepared

Array = np.ndarray
TYPES = {"uint8": np.uint8, "int8": np.int8}


def signed(shape: tuple[int, ...], zeros: float = 0.0, largest: int = 128) -> Array:
    """Signed bytes with the extremes among them, a share of the runs of 4 along the second axis zero."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-largest, largest, shape).astype(np.int8)
    weight.flat[:2] = -128, 127
    kept = rng.random((shape[0], -(-shape[1] // 4), *shape[2:])) >= zeros
    weight *= np.repeat(kept, 4, axis=1)[:, : shape[1]]
    return weight


def activations(dtype: str, shape: tuple[int, ...]) -> Array:
    limits = np.iinfo(dtype)
    x = np.random.default_rng(1).integers(limits.min, limits.max + 1, shape).astype(dtype)
    x.flat[:2] = limits.min, limits.max
    return x


def convolved(x: Array, weight: Array, strides: int, dilations: int, pads: int) -> Array:
    """A convolution of int64 images."""
    padded = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pads, pads), (pads, pads)))
    reach = [(n - 1) * dilations + 1 for n in weight.shape[2:]]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    windows = windows[:, :, ::strides, ::strides, ::dilations, ::dilations]
    sums: Array = np.einsum("ncpqhw,mchw->nmpq", windows, weight.astype(np.int64))
    return sums


@dataclass(frozen=True)
class Layer:
    shape: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    strides: int = 1
    dilations: int = 1
    pads: int = 0
    zeros: float = 0.0
    largest: int = 128


LAYERS = {
    "1x1": Layer((1, 16, 6, 6), (5, 16, 1, 1)),
    "1x1 of channels that fill no word": Layer((2, 7, 5, 5), (9, 7, 1, 1)),
    "1x1 with zeros": Layer((1, 40, 9, 7), (24, 40, 1, 1), zeros=0.7),
    "1x1 with runs of zeros": Layer((1, 40, 9, 7), (24, 40, 1, 1), zeros=0.7, largest=40),
    "3x3 with runs of zeros": Layer((2, 13, 9, 7), (24, 13, 3, 3), pads=1, zeros=0.7, largest=40),
    "3x3": Layer((1, 6, 9, 9), (8, 6, 3, 3), pads=1),
    "3x3 with zeros": Layer((1, 12, 12, 12), (16, 12, 3, 3), pads=1, zeros=0.8),
    "strided": Layer((2, 5, 11, 11), (4, 5, 3, 3), strides=2, pads=1),
    "dilated": Layer((1, 5, 11, 11), (4, 5, 3, 3), dilations=2, pads=2),
    "of images": Layer((1, 3, 20, 20), (8, 3, 7, 7), strides=2, pads=3),
    "all zero": Layer((1, 8, 4, 4), (3, 8, 1, 1), zeros=1.1),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "zero"), [("uint8", None), ("uint8", 131), ("int8", -7)])
def test_convolutions(name: str, dtype: str, zero: int | None) -> None:
    layer = LAYERS[name]
    x, weight = activations(dtype, layer.shape), signed(layer.weight, layer.zeros, layer.largest)
    expected = convolved(x.astype(np.int64) - (zero or 0), weight, layer.strides, layer.dilations, layer.pads)
    attributes = f"strides=[{layer.strides},{layer.strides}], dilations=[{layer.dilations},{layer.dilations}]"
    pads = ",".join(4 * [str(layer.pads)])
    text = f"g ({dtype}{list(layer.shape)} x) => (int32{list(expected.shape)} y) "
    text += f"{{ y = ConvInteger<{attributes}, pads=[{pads}]>(x,w{'' if zero is None else ',z'}) }}"
    constants = {"w": weight} if zero is None else {"w": weight, "z": np.array(zero, dtype)}
    model = parse(text, constants)
    assert [node.op_type for node in prepared(model).graph] == ["ConvInteger"]
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)


def test_a_convolution_over_one_axis() -> None:
    x, weight = activations("uint8", (1, 6, 30)), signed((5, 6, 3))
    text = "g (uint8[1,6,30] x) => (int32[1,5,30] y) { y = ConvInteger<pads=[1,1]>(x,w,z) }"
    found = compile_(parse(text, {"w": weight, "z": np.array(9, np.uint8)})).run(None, {"x": x})[0]
    expected = convolved(x[:, :, None].astype(np.int64) - 9, weight[:, :, None], 1, 1, 0)
    np.testing.assert_array_equal(found[..., 1:-1], expected[:, :, 0])
    edge = np.einsum("ck,mck->m", x[0, :, :2].astype(np.int64) - 9, weight[..., 1:].astype(np.int64))
    np.testing.assert_array_equal(found[0, :, 0], edge)


@pytest.mark.parametrize("shape", [(1, 24), (3, 24), (40, 23), (2, 17, 24), (2, 3, 8, 30)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("zeros", [0.0, 0.8])
def test_products(shape: tuple[int, ...], dtype: str, zeros: float) -> None:
    x, weight = activations(dtype, shape), signed((19, shape[-1]), zeros, largest=40).T
    output = [*shape[:-1], 19]
    model = parse(f"g ({dtype}{list(shape)} x) => (int32{output} y) {{ y = MatMulInteger(x,w) }}", {"w": weight})
    assert [node.op_type for node in prepared(model).graph] == ["MatMulInteger"]
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], x.astype(np.int64) @ weight.astype(np.int64))


def test_runs_of_zeros_have_a_kernel_that_skips_them() -> None:
    text = "g (uint8[64,512] x) => (int32[64,256] y) { y = MatMulInteger(x,w) }"
    found = [kernels(parse(text, {"w": signed((256, 512), zeros).T})) for zeros in (0.0, 0.8)]
    assert found == [["words", "dense_int8", "copy"], ["words", "sparse_int8", "copy"]]


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 0), ("uint8", 131), ("int8", -7)])
def test_zeros_anywhere_are_skipped_over_planes_cut_in_strips(strides: int, dtype: str, zero: int) -> None:
    x, weight = activations(dtype, (1, 32, 28, 28)), signed((64, 32, 3, 3))
    weight *= np.random.default_rng(2).random(weight.shape) < 0.15
    expected = convolved(x.astype(np.int64) - zero, weight, strides, 1, 1)
    text = f"g ({dtype}[1,32,28,28] x, int32[64,1,1] b) => (int32{list(expected.shape)} y) "
    text += f"{{ c = ConvInteger<strides=[{strides},{strides}], pads=[1,1,1,1]>(x,w,z) y = Add(c,b) }}"
    model, b = parse(text, {"w": weight, "z": np.array(zero, dtype)}), np.arange(64, dtype=np.int32).reshape(64, 1, 1)
    assert kernels(model) == ["words", "cut", "sparse_int8", "put_together"]
    found = compile_(model, "x86-64-v3").run(None, {"x": x, "b": b})[0]
    np.testing.assert_array_equal(found, expected + b)


def test_runs_of_zeros_are_not_cut_in_strips() -> None:
    text = "g (uint8[1,32,14,14] x) => (int32[1,48,12,12] y) { y = ConvInteger(x,w) }"
    model = parse(text, {"w": signed((48, 32, 3, 3), 0.8, largest=40)})
    assert kernels(model) == ["words", "pad", "sparse_int8"]


def test_several_threads_share_the_work() -> None:
    x, weight = activations("uint8", (1, 32, 24, 24)), signed((48, 32, 3, 3), 0.8)
    text = "g (uint8[1,32,24,24] x) => (int32[1,48,22,22] y) { y = ConvInteger(x,w) }"
    found = compile_(parse(text, {"w": weight}), threads=2).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, convolved(x, weight, 1, 1, 0))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache holds the weights of a model."""
    monkeypatch.setattr(graph, "SHARE_OF_L3", 0.0)


def anywhere(shape: tuple[int, int], zeros: float, largest: int = 127) -> Array:
    """Signed bytes, a share of them zero."""
    rng = np.random.default_rng(3)
    weight = rng.integers(1, largest + 1, shape).astype(np.int8)
    weight[rng.random(shape) < zeros] = 0
    return weight


def product(rows: int, weight: Array, dtype: str = "uint8", point: int | None = None) -> ir.Model:
    """The product of so many rows by a weight [outputs, inputs]."""
    outputs, inputs = weight.shape
    operands = "x,w" if point is None else "x,w,a"
    text = f"g ({dtype}[{rows},{inputs}] x) => (int32[{rows},{outputs}] y) {{ [p] y = MatMulInteger({operands}) }}"
    return parse(text, {"w": weight.T} if point is None else {"w": weight.T, "a": np.array(point, dtype)})


KINDS = {
    "many zeros": (1, anywhere((300, 2000), 0.9), "sparse_vector"),
    "many zeros for several rows": (3, anywhere((300, 2000), 0.9), "sparse_vector"),
    "zeros that do not make up for larger elements": (1, anywhere((300, 2000), 0.6), "dense_vector_int8"),
    "many rows": (40, anywhere((300, 2000), 0.9), "sparse_int8"),
    "sums that float32 may not hold": (1, anywhere((300, 12000), 0.9), "dense_vector_int8"),
    "no zeros": (1, anywhere((300, 200), 0.0), "dense_vector_int8"),
}


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("name", KINDS)
def test_a_few_rows_are_multiplied_in_floats_where_that_reads_less(name: str) -> None:
    rows, weight, expected = KINDS[name]
    assert expected in kernels(product(rows, weight), l2_bytes=0)


def test_weights_that_stay_in_a_cache_are_multiplied_in_words() -> None:
    assert "dense_vector_int8" in kernels(product(1, anywhere((300, 2000), 0.9)), l2_bytes=0)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("point", [None, 3])
def test_sums_in_floats_are_those_of_the_integers(dtype: str, rows: int, point: int | None) -> None:
    x, weight = activations(dtype, (rows, 2000)), anywhere((300, 2000), 0.9)
    weight[::2] *= -1
    session = compile_(product(rows, weight, dtype, point), "x86-64-v3")
    assert "sparse_vector" in [call.kernel for call in session.calls]
    expected = (x.astype(np.int64) - (point or 0)) @ weight.T.astype(np.int64)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], expected)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(("last", "kernel"), [(7, "sparse_vector"), (8, "dense_vector_int8")])
def test_the_largest_sums_that_float32_holds(last: int, kernel: str) -> None:
    """518 products of 255 and 127 and one of 255 and 7 are 2 ** 24 - 1; what is added to them is an integer again."""
    weight = np.zeros((40, 8000), np.int8)
    weight[:, 3:1039:2], weight[:, 5000] = 127, last
    text = "g (uint8[1,8000] x) => (int32[1,40] y) { p = MatMulInteger(x,w) y = Add(p,b) }"
    session = compile_(parse(text, {"w": weight.T, "b": np.array(2, np.int32)}), "x86-64-v3")
    assert kernel in [call.kernel for call in session.calls]
    total = 255 * (518 * 127 + last)
    assert (total == 2**24 - 1) == (last == 7)
    found = session.run(None, {"x": np.full((1, 8000), 255, np.uint8)})[0]
    np.testing.assert_array_equal(found, np.full((1, 40), total + 2))


@pytest.mark.usefixtures("far")
def test_what_runs_in_floats_says_why() -> None:
    whys = [compile_(product(1, anywhere((300, 2000), zeros)), "x86-64-v3").kernels[0].why for zeros in (0.9, 0.6)]
    assert whys[0].endswith("; in float32, because it is estimated at 38% of the time of integers")
    assert "float32" not in whys[1]


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(("floats", "kernel"), [(0.5, "sparse_vector"), (2.0, "dense_vector_int8")])
def test_the_faster_kind_is_picked_by_measured_time(
    floats: float, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(_self: Tuner, described: str, _emit: Callable[[], Emitted], *, is_far: bool) -> float:
        assert is_far
        return 1.0 if described.startswith("dense_int8,") else floats

    monkeypatch.setattr(Tuner, "seconds", seconds)
    session = compile_model(product(1, anywhere((300, 2000), 0.9)), "x86-64-v3", tune="full")
    assert isinstance(session, CompiledSession)
    assert kernel in [call.kernel for call in session.calls]
    said = session.kernels[0].why.endswith("; in float32, because it is measured at 50% of the time of integers")
    assert said == (kernel == "sparse_vector")


REFUSED = {
    "groups": ("ConvInteger<group=2>(x,w)", "1,4,5,5", (4, 2, 1, 1), "1,4,5,5"),
    "three axes": ("ConvInteger(x,w)", "1,4,5,5,5", (4, 4, 1, 1, 1), "1,4,5,5,5"),
    "a zero point that is computed": ("ConvInteger(x,w,z)", "1,4,5,5", (4, 4, 1, 1), "1,4,5,5"),
    "sums beyond 32 bits": ("MatMulInteger(x,w)", "2,70000", (70000, 1), "2,1"),
    "stacked weights": ("MatMulInteger(x,w)", "2,3,4", (2, 4, 5), "2,3,5"),
    "a vector": ("MatMulInteger(x,w)", "4", (4, 5), "5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_products_of_floats(name: str) -> None:
    product, x, shape, y = REFUSED[name]
    text = f"g (uint8[{x}] x, uint8 z) => (int32[{y}] y) {{ y = {product} }}"
    weight = np.full(shape, 127, np.int8)
    found = {node.op_type for node in prepared(parse(text, {"w": weight})).graph}
    assert not found & {"ConvInteger", "MatMulInteger"}


POINTS: dict[str, tuple[str, dict[str, Array]]] = {
    "of the rows together": ("a", {"a": np.array(121, np.uint8)}),
    "of each row": ("a", {"a": np.array([0, 255, 9, 128, 3], np.uint8)}),
    "of the weight": ("a,z", {"a": np.array(0, np.uint8), "z": np.array(128, np.uint8)}),
    "of each output": ("a,z", {"a": np.array(7, np.uint8), "z": np.array([127, 128, 128, 127], np.uint8)}),
}


@pytest.mark.parametrize("name", POINTS)
def test_zero_points_of_products_are_added_behind(name: str) -> None:
    points, constants = POINTS[name]
    x, weight = activations("uint8", (5, 24)), activations("uint8", (24, 4))
    weight = weight if "z" in constants else weight.view(np.int8)
    if "z" in constants:
        weight = np.clip(weight, 0, 254)
    model = parse(
        f"g (uint8[5,24] x) => (int32[5,4] y) {{ y = MatMulInteger(x,w,{points}) }}", {**constants, "w": weight}
    )
    assert [node.op_type for node in prepared(model).graph if node.op_type != "Add"] == ["MatMulInteger"]
    rows = constants["a"].astype(np.int64).reshape(-1, 1)
    columns = constants.get("z", np.zeros((), np.int64)).astype(np.int64)
    expected = (x.astype(np.int64) - rows) @ (weight.astype(np.int64) - columns)
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)


def test_a_zero_point_of_products_may_be_computed() -> None:
    x, weight, point = activations("uint8", (5, 24)), signed((24, 4)), np.array(200, np.uint8)
    model = parse("g (uint8[5,24] x, uint8 a) => (int32[5,4] y) { y = MatMulInteger(x,w,a) }", {"w": weight})
    assert "MatMulInteger" in [node.op_type for node in prepared(model).graph]
    found = compile_(model).run(None, {"x": x, "a": point})[0]
    np.testing.assert_array_equal(found, (x.astype(np.int64) - 200) @ weight.astype(np.int64))


def test_the_zero_points_of_a_convolution_s_weight_go_into_it() -> None:
    x, weight = activations("uint8", (1, 6, 7, 7)), np.clip(activations("uint8", (4, 6, 3, 3)), 0, 254)
    points = np.array([127, 128, 128, 127], np.uint8)
    text = "g (uint8[1,6,7,7] x) => (int32[1,4,7,7] y) { y = ConvInteger<pads=[1,1,1,1]>(x,w,a,z) }"
    model = parse(text, {"w": weight, "a": np.array(3, np.uint8), "z": points})
    assert [node.op_type for node in prepared(model).graph] == ["ConvInteger"]
    expected = convolved(x.astype(np.int64) - 3, weight.astype(np.int64) - points.reshape(-1, 1, 1, 1), 1, 1, 1)
    np.testing.assert_array_equal(compile_(model).run(None, {"x": x})[0], expected)
