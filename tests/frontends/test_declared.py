"""Extents that no tensor has, and types that are none."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from graphprune.compiler.compile import compile  # noqa: A004
from graphprune.errors import UnsupportedModelError
from graphprune.frontends.onnx_file import load
from graphprune.passes.fix_input_shapes import unresolved_dims

SLICED = """<ir_version: 10, opset_import: ["" : 20]>
g (float[1,5] x) => (float[1,n] y) <int64[1] s = {1}, int64[1] e = {8}, int64[1] a = {1}> { y = Slice(x, s, e, a) }"""


def write(path: Path, extent: int, axis: int = 1) -> Path:
    proto = onnx.parser.parse_model(SLICED)
    proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = extent
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_negative_extent_is_refused_before_inference_which_it_would_end_the_process_of(tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"value 'x' has extent -3 at axis 1, expected at least 0 \[GP140\]$"
    ):
        load(write(tmp_path / "m.onnx", -3))


def test_an_extent_that_memory_does_not_suffice_to_infer_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def infer_shapes(*_: object, **__: object) -> onnx.ModelProto:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", infer_shapes)
    with pytest.raises(UnsupportedModelError, match=r"the memory does not suffice to infer the shapes \[GP110\]$"):
        load(write(tmp_path / "m.onnx", 5))


def test_an_input_of_no_element_type_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", 5)
    proto = onnx.load(path)
    proto.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.UNDEFINED, [0]))
    onnx.save(proto, path)
    with pytest.raises(UnsupportedModelError, match=r"value 'unused' is .*UNDEFINED.*, expected a tensor \[GP516\]$"):
        compile(load(path))


def test_an_extent_of_minus_one_is_open(tmp_path: Path) -> None:
    assert unresolved_dims(load(write(tmp_path / "m.onnx", -1, axis=0))) == [("x", 0, "?")]


def test_a_negative_extent_of_a_tensor_in_a_function_is_refused(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "local" : 1]> g (float[2] x) => (float[2] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 20]> f (v) => (r) {
        c = Constant <value = float[2] c {1, 2}> () r = Add(v, c) }"""
    proto = onnx.parser.parse_model(text)
    proto.functions[0].node[0].attribute[0].t.dims[0] = -2
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedModelError, match=r"has extent -2 at axis 0, expected at least 0 \[GP140\]$"):
        load(path)


def test_an_output_that_is_a_sequence_of_maps_is_named(tmp_path: Path) -> None:
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    node = helper.make_node("ZipMap", ["x"], ["p"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph([node], "g", [x], [helper.make_value_info("p", maps)])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedModelError, match=r"value 'p' is a sequence of maps, expected a tensor.*\[GP141\]$"):
        load(tmp_path / "m.onnx")
