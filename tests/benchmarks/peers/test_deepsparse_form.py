from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from benchmarks.peers.deepsparse_form import IR_VERSION, OPSET, deepsparse_form
from graphprune.backends.onnxruntime import session_for
from graphprune.verification.feeds import random_feed

HEAD = '<ir_version: 10, opset_import: ["" : 20]> g (float[2,3,4,4] x) => (float[A,B,C,D] y)'
WEIGHTS = (
    "<float[4] s = {1.5, -1.0, 0.5, 2.0}, float[4] b = {0.5, 0.25, -1.0, 0.0}, int64[2] a = {-1, -2}, float z = {0}, "
    f"float[4,4] m = {{{', '.join(['0.5'] * 16)}}}>"
)


def rewritten(body: str) -> tuple[Counter[str], ir.Model]:
    """Operators afterwards, with the numbers checked and the model left alone."""
    model = ir.from_onnx_text(f"{HEAD} {WEIGHTS} {{ {body} }}")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    form = deepsparse_form(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before
    assert (form.opset_imports[""], form.ir_version) == (OPSET, IR_VERSION)
    onnx.checker.check_model(ir.to_proto(form))
    feed = random_feed(model)
    (given,), (expected,) = (session_for(each, optimize=False).run(None, feed) for each in (form, model))
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)
    return Counter(node.op_type for node in form.graph if node.op_type != "Constant"), form


def test_a_layer_normalisation_is_spelled_by_its_moments() -> None:
    operators, _ = rewritten("y = LayerNormalization <epsilon = 0.01> (x, s, b)")
    assert operators == Counter(["ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"])


def test_gelu_is_spelled_by_the_error_function() -> None:
    operators, _ = rewritten("y = Gelu(x)")
    assert operators == Counter(["Div", "Erf", "Add", "Mul", "Mul"])


def test_an_average_names_its_axes_from_the_front() -> None:
    operators, form = rewritten("y = ReduceMean <keepdims = 1> (x, a)")
    assert operators == Counter(["ReduceMean"])
    assert list(form.graph[0].attributes["axes"].as_ints()) == [2, 3]


def test_a_guard_behind_a_softmax_goes() -> None:
    operators, _ = rewritten("p = Softmax(x) n = IsNaN(p) y = Where(n, z, p)")
    assert operators == Counter(["Softmax"])


@pytest.mark.parametrize(
    ("body", "operators"),
    [
        ("r = Relu(x) n = IsNaN(r) y = Where(n, z, r)", "Relu IsNaN Where"),  # a guard, but not behind a softmax
        ("p = Softmax(x) q = Exp(x) n = IsNaN(q) y = Where(n, z, p)", "Softmax Exp IsNaN Where"),  # of another value
        ("y = LayerNormalization <axis = 2> (x, m, m)", "LayerNormalization"),  # over more than the last axis
        ("y = LayerNormalization(x, s)", "LayerNormalization"),  # without a bias
    ],
)
def test_what_no_spelling_fits_stays(body: str, operators: str) -> None:
    assert rewritten(body)[0] == Counter(operators.split())
