import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import InputError
from graphprune.verification.feeds import index_limits, merged_limits, random_feed
from graphprune_runtime.interface import TensorInfo

EMBEDDINGS = """<ir_version: 10, opset_import: ["" : 20]>
g (int64[1,64] ids, int64[1,64] types, int64[1,64] attention_mask, int64[1,64] other)
  => (float[2,64,4] y, int64[1,64] z)
<float[50,4] words = {%s}, float[2,4] kinds = {0,0,0,0,0,0,0,0}, int64[1] axes = {2}> {
    wide = Unsqueeze(ids, axes)
    short = Squeeze(wide, axes)
    joined = Concat<axis = 0>(other, types)
    a = Gather(words, short)
    b = Gather(kinds, joined)
    y = Add(a, b)
    z = Add(attention_mask, other)
}""" % ",".join(["0"] * 200)  # noqa: UP031 - braces are ONNX text


def info(name: str, *shape: int | str | None, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name, shape, np.dtype(dtype))


@pytest.fixture
def embeddings() -> ir.Model:
    return ir.from_onnx_text(EMBEDDINGS)


def test_indices_stay_inside_the_smallest_table_that_they_reach(embeddings: ir.Model) -> None:
    assert index_limits(embeddings) == {"ids": 50, "types": 2, "other": 2}
    ids = random_feed(embeddings)["ids"]
    assert ids.max() < 50
    assert len(np.unique(ids)) > 10


INDEXED = """<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
g (int64[1,3] x, float[7,5] t) => (float[] y) { %s }
<opset_import: ["" : 20], domain: "own"> look (a, b) => (c) { c = Gather<axis = 1>(a, b) }"""


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("y = GatherElements<axis = 1>(t, x)", 5),
        ("y = GatherND(t, x)", 5),
        ("y = ScatterElements<axis = 0>(t, x, t)", 7),
        ("y = ScatterND(t, x, t)", 5),
        ("z = Clip(x) v = Max(z, z) w = Where(z, z, v) y = Gather(t, w)", 7),
        ("y = Gather<axis = -1>(t, x)", 5),
        ("y = Gather(x, x)", 1),
        ("y = own.look(t, x)", None),
        ("y = Where(x, t, t)", None),
    ],
)
def test_what_indexes_a_table_is_limited_by_it(body: str, limit: int | None) -> None:
    assert index_limits(ir.from_onnx_text(INDEXED % body)) == ({} if limit is None else {"x": limit})


@pytest.mark.parametrize(
    ("chosen", "limit"),
    [
        *((chosen, 7) for chosen in ("Max(x, k)", "Max(k, x)", "Min(x, k)", "Min(k, x)")),
        *((chosen, 7) for chosen in ("Where(b, x, k)", "Where(b, k, x)", "Concat<axis = 1>(r, x)", "Expand(x, k)")),
        *((chosen, None) for chosen in ("Where(b, k, k)", "Expand(k, x)", "Add(x, k)", "Max(k, k)")),
    ],
)
def test_what_may_be_chosen_is_an_index_too(chosen: str, limit: int | None) -> None:
    body = f"k = Constant<value_ints = [1]>() r = Constant<value = int64[1,1] {{1}}>() b = Cast<to = 9>(x) w = {chosen}"
    model = ir.from_onnx_text(INDEXED % f"{body} y = Gather(t, w)")
    assert index_limits(model) == ({} if limit is None else {"x": limit})


def test_a_table_inside_a_function_counts() -> None:
    model = ir.from_onnx_text(INDEXED % "y = own.look(t, x)")
    (function,) = model.functions.values()
    function.inputs[0].shape = ir.Shape([7, 5])
    assert index_limits(model) == {"x": 5}


def test_the_lowest_limit_of_several_models_counts() -> None:
    models = [ir.from_onnx_text(INDEXED % f"y = Gather<axis = {axis}>(t, x)") for axis in (0, 1, 0)]
    assert merged_limits(models) == {"x": 5}


def test_indices_of_8_bits_stay_in_the_table() -> None:
    ids = random_feed([info("x", 99, dtype="uint8")], limits={"x": 3})["x"]
    assert ids.max() == 2
    assert ids.dtype == np.dtype("uint8")
    all_of_them = random_feed([info("x", 9999, dtype="int8")], limits={"x": 1000})["x"]
    assert (all_of_them.min(), all_of_them.max()) == (0, 127)


def test_other_integers_are_zero_or_one_and_those_of_8_bits_anything() -> None:
    feed = random_feed([info("n", 999, dtype="int64"), info("s", 9999, dtype="int8"), info("u", 9999, dtype="uint8")])
    assert np.unique(feed["n"]).tolist() == [0, 1]
    assert (feed["s"].min(), feed["s"].max()) == (-128, 127)
    assert (feed["u"].min(), feed["u"].max()) == (0, 255)


def test_a_mask_is_padding(embeddings: ir.Model) -> None:
    mask = random_feed(embeddings)["attention_mask"]
    assert mask.tolist() == [[1] * 48 + [0] * 16]


def test_a_seed_repeats_and_another_differs() -> None:
    infos = [info("x", 3, 4), info("y", 3, 4)]
    first, again, other = (random_feed(infos, seed) for seed in (0, 0, 1))
    assert np.array_equal(first["x"], again["x"])
    assert not np.array_equal(first["x"], other["x"])
    assert not np.array_equal(first["x"], first["y"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bool", "int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("shape", [(), (5,)])
def test_every_type_keeps_its_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = random_feed([info("x", *shape, dtype=dtype)])["x"]
    assert isinstance(array, np.ndarray)
    assert (array.dtype.name, array.shape) == (dtype, shape)


def test_an_open_first_dimension_is_one() -> None:
    assert random_feed([info("x", "batch", 3)])["x"].shape == (1, 3)


def test_given_shapes_win() -> None:
    assert random_feed([info("x", "batch", "seq")], shapes={"x": (2, 7)})["x"].shape == (2, 7)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, r"open dimensions in input x: float32\[2, seq\], give its shape .* \[GP543\]"),
        ({"y": (1,)}, r"shape given for unknown input 'y', expected one of \['x'\] \[GP541\]"),
        ({"x": (2,)}, r"shape \[2\] does not fit input x: float32\[2, seq\] \[GP542\]"),
        ({"x": (3, 4)}, r"shape \[3, 4\] does not fit"),
        ({"x": (2, 0)}, r"shape \[2, 0\] does not fit"),
    ],
)
def test_wrong_shapes_are_refused(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        random_feed([info("x", 2, "seq")], shapes=shapes)


def test_text_inputs_are_refused() -> None:
    with pytest.raises(InputError, match=r"input 'x' has type tensor\(string\), for which .* \[GP544\]"):
        random_feed([info("x", 2, dtype="object")])
