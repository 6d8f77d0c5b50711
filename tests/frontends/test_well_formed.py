"""Models that are readable but not sound."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.onnx_file import load, save
from tests.frontends.files import CHAIN, WEIGHT, write

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'


def refused(path: Path, pattern: str) -> None:
    with pytest.raises(UnsupportedModelError, match=pattern) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        ("a = Add(x, b)  b = Relu(a)  y = Relu(a)", r"graph 'g' has a cycle of 2 nodes: '[ab]', '[ab]' \[GP110\]$"),
        ("a = Relu(a)  y = Relu(a)", r"graph 'g' has a cycle of 1 nodes: 'a' \[GP110\]$"),
        ("y = Add(x, q)", r"node 'y' \(Add\): reads 'q', which nothing produces \[GP110\]$"),
        ("y = Upsample(x, x)", r"ill-formed: .*Upsample is deprecated.*\[GP110\]$"),
        ("y = Relu(x, x)", r"ill-formed: Node.* with schema\(::Relu:14\) has input size 2.*\[GP110\]$"),
        ("y = Relu <slope = 3> (x)", r"ill-formed: Unrecognized attribute: slope for operator Relu.*\[GP110\]$"),
        ("y = Conv(x, x)", r"shapes do not fit: .*op_type:Conv.*\[GP110\]$"),
        ("z = Relu(x)", r"'y'.*\[GP110\]$"),
    ],
)
def test_an_ill_formed_graph_is_refused(tmp_path: Path, body: str, pattern: str) -> None:
    refused(write(tmp_path / "m.onnx", f"{HEADER} g (float[2] x) => (float[2] y) {{ {body} }}"), pattern)


def test_a_cycle_through_a_subgraph_is_refused(tmp_path: Path) -> None:
    text = f"""{HEADER} g (bool c, float[2] x) => (float[2] y) {{
        a = If(c) <then_branch = t () => (p) {{ p = Relu(b) }}, else_branch = e () => (q) {{ q = Neg(x) }}>
        b = Relu(a)
        y = Relu(b)
    }}"""
    refused(write(tmp_path / "m.onnx", text), r"graph 'g' has a cycle through a subgraph \[GP110\]$")


def test_a_cycle_in_a_function_is_refused(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "local" : 1]>
    g (float[2] x) => (float[2] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 20]> f (v) => (r) { a = Add(v, b)  b = Relu(a)  r = Relu(b) }"""
    refused(write(tmp_path / "m.onnx", text), r"has a cycle of 2 nodes: '[ab]', '[ab]' \[GP110\]$")


@pytest.mark.parametrize("domain", ["", "a.b"])
def test_a_node_of_a_domain_without_a_version_is_refused(tmp_path: Path, domain: str) -> None:
    proto = onnx.parser.parse_model("<ir_version: 10, opset_import: []> g (float[2] x) => (float[2] y) { y = F(x) }")
    proto.graph.node[0].domain = domain
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    refused(path, rf"node 'y' \(F\) is of the domain '{domain}', of which no opset is imported \[GP110\]$")


def test_nodes_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx")
    proto = onnx.load(path)
    proto.graph.node.reverse()
    path.write_bytes(proto.SerializeToString())
    assert [node.name for node in load(path).graph] == ["product", "activation"]


def test_an_operator_that_nobody_here_knows_is_kept_with_its_domain(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "com.example" : 1]> g (bool c, float[2] x) => (float[2] y) {
        a = com.example.Gadget(x)
        b = Reluu <slope = 3> (a)
        y = If(c) <then_branch = t () => (p) { p = com.example.Gadget(b) }, else_branch = e () => (q) { q = Reluu(x) }>
    }"""
    model = load(write(tmp_path / "m.onnx", text))
    found = [(node.domain, node.op_type) for node in model.graph.all_nodes()]
    assert found == [("com.example", "Gadget"), ("", "Reluu"), ("", "If"), ("com.example", "Gadget"), ("", "Reluu")]
    save(model, tmp_path / "o.onnx")
    assert {each.domain: each.version for each in onnx.load(tmp_path / "o.onnx").opset_import} == model.opset_imports
    assert model.opset_imports == {"": 20, "com.example": 1}


def test_a_domain_without_a_version_is_refused(tmp_path: Path) -> None:
    text = f"{HEADER} g (float[2] x) => (float[2] y) {{ y = com.example.Gadget(x) }}"
    refused(write(tmp_path / "m.onnx", text), r"com\.example.*\[GP110\]$")


def test_a_call_of_ours_without_its_function_is_refused(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "graphprune" : 1]>
    g (float[2] x) => (float[2] y) { [packed] y = graphprune.PackedRowsMatMul(x) }"""
    pattern = r"node 'packed' \(PackedRowsMatMul\) calls a function of the domain 'graphprune', and the model has none"
    refused(write(tmp_path / "m.onnx", text), pattern + r" of that name \[GP112\]$")


def test_a_domain_that_onnx_defines_is_known(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>
    g (float[2] x) => (float[2] y) { y = ai.onnx.ml.Binarizer(x) }"""
    assert load(write(tmp_path / "m.onnx", text)).graph.node("y").domain == "ai.onnx.ml"


@pytest.mark.parametrize("opset", [6, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_out_of_range_is_refused(tmp_path: Path, opset: int) -> None:
    path = write(tmp_path / "m.onnx", CHAIN.replace('"" : 20', f'"" : {opset}'), w=WEIGHT)
    refused(path, rf"the model has opset {opset}, supported are 7 to {onnx.defs.onnx_opset_version()} \[GP111\]$")


def test_an_opset_of_a_function_out_of_range_is_refused(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "local" : 1]> g (float[2] x) => (float[2] y) { y = local.f(x) }
    <domain: "local", opset_import: ["" : 99]> f (v) => (r) { r = Relu(v) }"""
    refused(write(tmp_path / "m.onnx", text), r"function 'f' has opset 99, .*\[GP111\]$")


def test_a_newer_ir_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", CHAIN.replace("ir_version: 10", "ir_version: 99"), w=WEIGHT)
    refused(path, rf"has IR version 99, the installed onnx knows up to {onnx.IR_VERSION} \[GP111\]$")


def test_zero_size_and_scalar_inputs_are_read(tmp_path: Path) -> None:
    text = f"{HEADER} g (float[0,4] x, float s) => (float[0,4] y) {{ y = Mul(x, s) }}"
    model = load(write(tmp_path / "m.onnx", text))
    assert [value.shape for value in model.graph.inputs] == [ir.Shape((0, 4)), ir.Shape(())]


def test_weights_that_are_not_finite_are_read(tmp_path: Path) -> None:
    load(write(tmp_path / "m.onnx", CHAIN, w=np.full((4, 2), np.nan, np.float32)))


def test_the_newest_opset_is_read(tmp_path: Path) -> None:
    opset = onnx.defs.onnx_opset_version()
    path = write(tmp_path / "m.onnx", CHAIN.replace('"" : 20', f'"" : {opset}'), w=WEIGHT)
    assert load(path).opset_imports == {"": opset}
