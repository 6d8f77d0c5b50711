import numpy as np
import onnx_ir as ir
import pytest

from graphprune.verification.computed import Computed, computed_outputs, computed_values


def outputs(body: str, inputs: str = "float[4] x", values: str = "") -> dict[str, Computed]:
    """How `y` is computed by the nodes of `body`, which may call `own.gate`, a sigmoid."""
    sets = 'opset_import: ["" : 20, "own" : 1]'
    gate = '<opset_import: ["" : 20], domain: "own"> gate (a) => (b) { b = Sigmoid(a) }'
    graph = f"g ({inputs}) => (float[4] y) <{values}> {{ {body} }}"
    return computed_outputs(ir.from_onnx_text(f"<ir_version: 10, {sets}> {graph} {gate}"))


HALF, BRAIN = "float16[4] h", "bfloat16[4] h"


@pytest.mark.parametrize(
    ("body", "inputs", "values", "expected"),
    [
        ("y = Neg(x)", "float[4] x", "", Computed()),
        ("y = Sigmoid(x)", "float[4] x", "", Computed(saturates=True)),
        ("s = Sigmoid(x) y = Mul(s, x)", "float[4] x", "", Computed(saturates=True)),
        ("y = own.gate(x)", "float[4] x", "", Computed(saturates=True)),
        ("h = Cast<to = 10>(x) y = Cast<to = 1>(h)", "float[4] x", HALF, Computed("float16")),
        ("h = Cast<to = 16>(x) y = Cast<to = 1>(h)", "float[4] x", BRAIN, Computed("bfloat16")),
        (
            "h = Cast<to = 16>(x) k = Cast<to = 10>(h) y = Cast<to = 1>(k)",
            "float[4] x",
            f"{BRAIN}, float16[4] k",
            Computed("bfloat16"),
        ),
        ("w = Cast<to = 1>(h) y = Mul(x, w)", "float[4] x", "float16[4] h = {1, 2, 3, 4}, float[4] w", Computed()),
        ("s = Sigmoid(c) y = Mul(x, s)", "float[4] x", "float[4] c = {1, 2, 3, 4}", Computed()),
        ("y = Cast<to = 1>(h)", "float16[4] h", "", Computed()),
    ],
)
def test_precision_is_followed_from_the_inputs(body: str, inputs: str, values: str, expected: Computed) -> None:
    assert outputs(body, inputs, values) == {"y": expected}


def test_a_branch_counts() -> None:
    body = """y = If(b) <then_branch = t () => (float[4] s) { s = Sigmoid(x) },
        else_branch = e () => (float[4] n) { n = Neg(x) }>"""
    assert outputs(body, "float[4] x, bool b") == {"y": Computed(saturates=True)}
    constant = body.replace("Sigmoid(x)", "Sigmoid(c)").replace("Neg(x)", "Neg(c)").replace("If(b)", "If(k)")
    found = outputs(constant, "float[4] x", "float[4] c = {1, 2, 3, 4}, bool k = {1}")
    assert found == {"y": Computed()}


def test_nothing_is_known_of_a_graph_that_is_not_given() -> None:
    assert computed_outputs(None) == {}


def test_a_constant_is_not_among_the_values() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 20]>
        g (float[4] x) => (float[4] y) <float[4] c = {1, 2, 3, 4}> { k = Neg(c) y = Add(x, k) }"""
    )
    assert {value.name for value in computed_values(model)} == {"x", "y"}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_floor_is_the_last_bit_of_one(dtype: str) -> None:
    assert Computed(saturates=True).floor(np.dtype(dtype)) == np.finfo(dtype).eps
    assert Computed().floor(np.dtype(dtype)) == 0


def test_the_floor_is_that_of_the_precision_it_was_computed_in() -> None:
    assert Computed("float16", saturates=True).floor(np.dtype("float32")) == np.finfo("float16").eps
    assert Computed("bfloat16", saturates=True).floor(np.dtype("float32")) == 2.0**-7
    assert Computed("float16").type_name(np.dtype("float32")) == "float16"
    assert Computed().type_name(np.dtype("float32")) == "float32"
