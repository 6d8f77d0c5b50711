"""Model-local functions: added once, dropped with their last call, and told from other operators."""

import onnx_ir as ir
import pytest

from graphprune.graph.functions import DOMAIN, VERSION, add_function, drop_uncalled, is_packed

PLAIN = """<ir_version: 10, opset_import: ["" : 18]> main (float[2] x) => (float[2] y) { y = Neg (x) }"""
NEGATE = """<domain: "graphprune", opset_import: ["" : 18]> %s (a) => (b) { b = Neg (a) }"""
CALLS = """
<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1]>
main (float[2] x) => (float[2] y) { y = graphprune.First (x) }
"""


def test_a_function_is_added_once_with_its_domain() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 18]> main (float[2] x) => (float[2] y) { y = Neg (x) }'
    )
    add_function(model, NEGATE % "First")
    (function,) = model.functions.values()
    add_function(model, NEGATE % "First")
    assert list(model.functions.values()) == [function]
    assert model.graph.opset_imports[DOMAIN] == VERSION


def test_only_named_functions_without_a_call_are_dropped() -> None:
    model = ir.from_onnx_text(CALLS)
    for name in ("First", "Second", "Third"):
        add_function(model, NEGATE % name)
    drop_uncalled(model, ["First", "Second"])
    assert [name for _, name, _ in model.functions] == ["First", "Third"]
    assert DOMAIN in model.graph.opset_imports


def test_the_domain_goes_with_the_last_function() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 18]> main (float[2] x) => (float[2] y) { y = Neg (x) }'
    )
    add_function(model, NEGATE % "First")
    drop_uncalled(model, ["First"])
    assert not model.functions
    assert DOMAIN not in model.graph.opset_imports


@pytest.mark.parametrize(
    ("domain", "name", "expected"),
    [
        (DOMAIN, "PackedConv", True),
        (DOMAIN, "PackedNmConv", True),
        (DOMAIN, "NMSoftMask", False),
        ("", "PackedConv", False),
    ],
)
def test_packed_calls_are_told_from_others(domain: str, name: str, expected: bool) -> None:  # noqa: FBT001 - a test's parameter
    assert is_packed(ir.node(name, [], domain=domain)) is expected
