"""Which nodes round activations to integers."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.verification.computed import Computed
from graphprune.verification.roundings import element_type, integers_of, precision, reads_floats, roundings
from tests.verification.integers import DYNAMIC, OPERATORS, QDQ, dynamic_constants, model


def found(graph: ir.Model) -> list[str]:
    return [str(node.outputs[0].name) for node in roundings(graph)]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (model(QDQ), ["a", "e", "i"]),
        (model(OPERATORS), ["a", "e", "i"]),
        (model(DYNAMIC, given=dynamic_constants()), ["a"]),
        (model("g (float[4] x) => (float[4] y) { y = Neg(x) }"), []),
    ],
    ids=["quantizers", "operators", "dynamic", "floats"],
)
def test_the_forms(graph: ir.Model, expected: list[str]) -> None:
    assert found(graph) == expected
    assert [value.name for value in integers_of(roundings(graph))] == expected


def test_constants_are_not_activations() -> None:
    graph = model(
        QDQ.replace(
            "v = DequantizeLinear(w, sw)",
            "n = Cast<to=1>(w) o = QuantizeLinear(n, sx, zx) v = DequantizeLinear(o, sx, zx)",
        )
    )
    assert "o" not in found(graph)


def test_what_rounds_inside_of_a_branch_rounds() -> None:
    graph = model("""g (float[4] x, bool b) => (float[4] y) {
        y = If(b) <then_branch = t () => (float[4] s) { q = QuantizeLinear(x, sx, zx) s = DequantizeLinear(q, sx, zx) },
        else_branch = e () => (float[4] n) { n = Neg(x) }> }""")
    assert found(graph) == ["y"]
    assert list(integers_of(roundings(graph))) == []


def test_a_product_that_gives_floats_rounds_nothing() -> None:
    text = "g (uint8[4,4] x) => (float[4,4] y) {{ y = com.microsoft.QGemm(x, sx, zx, x, sx, zx{}) }}"
    assert found(model(text.format(""))) == []
    assert found(model(text.format(", , sd, zd").replace("float[4,4] y", "uint8[4,4] y"))) == ["y"]


def test_the_zero_point_says_the_type_and_bytes_are_unsigned_without_one() -> None:
    text = "g (float[4] x) => (y) {{ q = QuantizeLinear(x, sx{}) y = Identity(q) }}"
    types = [element_type(roundings(model(text.format(zero)))[0].outputs[0]) for zero in (", none", ", zx", "")]
    assert types == [ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.UINT8]


def test_quantizers_of_floats_read_them() -> None:
    graph = model(OPERATORS)
    assert [reads_floats(node) for node in roundings(graph)] == [True, False, False]
    assert [
        reads_floats(node)
        for node in roundings(model("g (int32[4] x) => (uint8[4] y) { y = QuantizeLinear(x, sx, zx) }"))
    ] == [False]


def test_narrow_floats_are_less_precise() -> None:
    single, half = precision(None), precision(Computed("float16"))
    assert (single.noise, single.near, single.window) == (2.0**-12, 2.0**-10, 2.0**-6)
    assert half.noise == 2.0**-3
    assert precision(Computed()) == single
