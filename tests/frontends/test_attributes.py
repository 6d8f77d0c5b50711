"""Attributes of nodes that onnx's checker takes as they are."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from graphprune.errors import ModelFileError, UnsupportedModelError
from graphprune.frontends.attributes import FLAGS
from graphprune.frontends.onnx_file import load

HEADER = '<ir_version: 10, opset_import: ["" : 20, "local" : 1]>'
FUNCTION = '<domain: "local", opset_import: ["" : 20]>'


def write(path: Path, text: str, change: int | None = None) -> Path:
    proto = onnx.parser.parse_model(f"{HEADER} {text}")
    if change is not None:
        proto.graph.node[0].attribute[0].t.dims[0] = change
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("number", [-1, 2, 255, 1 << 62])
def test_a_flag_is_0_or_1(tmp_path: Path, number: int) -> None:
    body = f"y = ReduceSum<keepdims = {number}>(x)"
    with pytest.raises(
        UnsupportedModelError, match=rf"'y' \(ReduceSum\): keepdims is {number}, expected 0 or 1 \[GP387\]$"
    ):
        load(write(tmp_path / "m.onnx", f"g (float[2] x) => (float[a] y) {{ {body} }}"))


@pytest.mark.parametrize(
    ("call", "known"),
    [
        ("ScatterElements<reduction = {}>(x, i, x)", "none, add, mul, max, min"),
        ("SoftmaxCrossEntropyLoss<reduction = {}>(r, i)", "none, sum, mean"),
    ],
)
def test_a_reduction_is_one_that_there_is(tmp_path: Path, call: str, known: str) -> None:
    text = "g (float[2] x, int64[2] i, float[2,3] r) => (float y) {{ y = {} }}"
    for word in ("", "average"):
        path = write(tmp_path / "m.onnx", text.format(call.format(f'"{word}"')))
        with pytest.raises(UnsupportedModelError, match=rf"reduction is '{word}', expected one of {known} \[GP387\]$"):
            load(path)


def test_a_flag_in_a_function_is_0_or_1(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[1] y) { y = local.f(x) }"
    function = f"{FUNCTION} f (v) => (r) {{ r = ReduceSum<keepdims = 7>(v) }}"
    with pytest.raises(UnsupportedModelError, match=r"keepdims is 7, expected 0 or 1 \[GP387\]$"):
        load(write(tmp_path / "m.onnx", f"{text} {function}"))


def test_a_reference_to_an_attribute_of_the_function_and_other_domains_may_be_anything(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[1] y) { a = local.f<keepdims = 1>(x) y = other.g<keepdims = 9>(a) }"
    function = f"{FUNCTION} f <keepdims> (v) => (r) {{ r = ReduceSum<keepdims: int = @keepdims>(v) }}"
    text = f"{text} {function}".replace("local.f<", "local.f <")
    path = write(tmp_path / "m.onnx", text)
    proto = onnx.load(path)
    proto.opset_import.append(onnx.helper.make_opsetid("other", 1))
    onnx.save(proto, path)
    assert len(load(path).graph) == 2


def test_text_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", 'g (float[2] x) => (float[2] y) { y = Gelu<approximate = "none">(x) }')
    proto = onnx.load(path)
    proto.graph.node[0].attribute[0].s = b"non\xe9"
    onnx.save(proto, path)
    with pytest.raises(UnsupportedModelError, match=r"approximate is b'non\\xe9', expected text in UTF-8 \[GP389\]$"):
        load(path)


@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_a_window_is_not_padded_twice(tmp_path: Path, automatic: str) -> None:
    text = 'g (float[1,1,5] x) => (float[1,1,a] y) {{ y = MaxPool<kernel_shape=[2], auto_pad="{}", pads=[{}]>(x) }}'
    with pytest.raises(UnsupportedModelError, match=rf"auto_pad is {automatic}, and pads are \[0, 1\], .* \[GP390\]$"):
        load(write(tmp_path / "m.onnx", text.format(automatic, "0, 1")))
    assert load(write(tmp_path / "m.onnx", text.format(automatic, "0, 0"))).graph.num_nodes() == 1
    assert load(write(tmp_path / "m.onnx", text.format("NOTSET", "0, 1"))).graph.num_nodes() == 1


def test_the_bytes_of_a_tensor_fill_its_shape(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] y) { c = Constant<value = float[2] c {1, 2}>() y = Add(x, c) }"
    with pytest.raises(
        ModelFileError, match=r"'c' \(Constant\): the bytes of value do not fill FLOAT\[1\]: .*\[GP105\]$"
    ):
        load(write(tmp_path / "m.onnx", text, change=1))
    assert load(write(tmp_path / "m.onnx", text)).graph.num_nodes() == 2


def test_flags_are_integers_of_operators_that_are_0_or_1_by_default() -> None:
    of_onnx = [s for s in onnx.defs.get_all_schemas_with_history() if not s.domain]
    for name in FLAGS:
        found = [schema.attributes[name] for schema in of_onnx if name in schema.attributes]
        assert found, name
        assert all(a.type == onnx.defs.OpSchema.AttrType.INT and a.default_value.i in {0, 1} for a in found), name


@pytest.mark.parametrize("equation", ["...ii -i", "ij,jk=>ik", "i..j->ij", "i1->i", "ij->i->j", "......->"])
def test_an_equation_that_is_none_is_refused_before_inference_runs_on_it(tmp_path: Path, equation: str) -> None:
    body = f'g (double[3,5,5] x) => (double[3,5] y) {{ y = Einsum<equation="{equation}">(x) }}'
    with pytest.raises(UnsupportedModelError, match=r"'y' \(Einsum\): equation is .* \[GP391\]$"):
        load(write(tmp_path / "m.onnx", body))
