"""Operators that neither ONNX nor the model defines: which they are, and how onnx is made to take them."""

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from graphprune.frontends.onnx_file import load
from graphprune.graph.opaque import is_opaque, seal, unseal

TEXT = """<ir_version: 10, opset_import: ["" : OPSET, "com.example" : 1, "local" : 1]>
g (bool c, float[2,4] x, float[4] s) => (float[2,4] y) {
    a = Relu (x)
    b = Reluu (a)
    d = com.example.Relu (b)
    e = local.f (d)
    n = LayerNormalization (e, s)
    y = If (c) <then_branch = t () => (p) { p = Reluu (n) }, else_branch = o () => (q) { q = Neg (n) }>
}
<domain: "local", opset_import: ["" : OPSET]> f (v) => (r) { r = Reluu (v) }"""


def proto(opset: int) -> onnx.ModelProto:
    return onnx.parser.parse_model(TEXT.replace("OPSET", str(opset)))


@pytest.mark.parametrize(("opset", "normalization"), [(13, ["LayerNormalization"]), (17, [])])
def test_opaque_is_what_neither_onnx_nor_the_model_defines(opset: int, normalization: list[str]) -> None:
    model = ir.from_proto(proto(opset))
    found = [node.op_type for node in model.graph.all_nodes() if is_opaque(model, node)]
    assert found == ["Reluu", "Relu", *normalization, "Reluu"]


@pytest.mark.parametrize("opset", [13, 18])
def test_onnx_takes_what_is_sealed_and_nothing_is_left_of_it(opset: int) -> None:
    given, sealed = proto(opset), proto(opset)
    seal(sealed)
    with pytest.raises(onnx.checker.ValidationError, match="Reluu"):
        onnx.checker.check_model(given)
    onnx.checker.check_model(sealed)
    model, again = ir.from_proto(given), ir.from_proto(sealed)
    unseal(again)
    assert [node.op_identifier() for node in again.graph.all_nodes()] == [
        node.op_identifier() for node in model.graph.all_nodes()
    ]
    assert again.opset_imports == model.opset_imports


def test_opaque_operators_survive_the_conversion_to_a_newer_opset(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    text = """<ir_version: 8, opset_import: ["" : 13, "com.example" : 3]>
    g (float[2,4] x, float[4] s) => (float[2,4] y) {
        a = Reluu (x)
        b = com.example.Gadget <of = 2> (a)
        y = LayerNormalization <epsilon = 0.5> (b, s)
    }"""
    onnx.save(onnx.parser.parse_model(text), path)
    model = load(path)
    assert model.opset_imports == {"": 18, "com.example": 3}
    assert [node.op_identifier() for node in model.graph] == [
        ("", "Reluu", ""),
        ("com.example", "Gadget", ""),
        ("", "LayerNormalization", ""),
    ]
    assert model.graph[1].attributes.get_int("of") == 2
    assert not is_opaque(model, model.graph[2])
