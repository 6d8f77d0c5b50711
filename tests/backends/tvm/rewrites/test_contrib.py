"""Operators of ONNX Runtime, compiled."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import session_for
from graphprune.compiler.compile import compile as compile_model
from graphprune.errors import UnsupportedModelError
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import assert_equal, compile_, pruned
from tests.passes.contrib_case import HEADER, Case
from tests.passes.contrib_cases import CASES
from tests.passes.test_expand_contrib import assert_close, feed_of


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_onnx_runtime_does(name: str) -> None:
    case = CASES[name]
    feed = feed_of(case)
    ours = compile_(case.model()).run(None, feed)
    assert_close(ours, session_for(case.model(), optimize=False).run(None, feed))


def test_zeros_of_fused_operators_are_used() -> None:
    text = """(float[n,16,6,6] x) => (float[n,32,6,6] y) {
        a = com.microsoft.FusedConv <pads = [1,1,1,1], activation = "Relu"> (x, v)
        y = com.microsoft.FusedConv <activation = "LeakyRelu", activation_params = [0.1]> (a, w)
    }"""
    model = Case(text, {"v": pruned(32, 16, 3, 3, zeros=0.9), "w": pruned(32, 32, 1, 1, zeros=0.9)}).model()
    session = compile_model(model, input_shapes={"x": (2, 16, 6, 6)})
    assert isinstance(session, CompiledSession)
    assert [note.kernel for note in session.description.programs[0].kernels] == ["rows", "rows"]
    assert_equal(session, Case(text.replace("n,", "2,"), model_constants(model)).model())


def model_constants(model: ir.Model) -> dict[str, np.ndarray]:
    tensors = ((name, value.const_value) for name, value in model.graph.initializers.items())
    return {name: tensor.numpy() for name, tensor in tensors if tensor is not None}


def test_one_behind_a_branch_is_rewritten_too() -> None:
    text = """(float[2,4] x) => (float[2,4] y) <bool yes = {1}> {
        y = If (yes) <then_branch = t () => (float[2,4] p) { p = com.microsoft.QuickGelu (x) },
                      else_branch = e () => (float[2,4] q) { q = Neg (x) }>
    }"""
    model = Case(text).model()
    assert_equal(compile_(model), model)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("com.microsoft.QuickGelu <window = 3> (x)", "attribute 'window' is not one that its rewrite considers"),
        ("com.microsoft.Crop (x)", "there is no kernel for this operator"),
        ("com.microsoft.nchwc.ReorderInput (x)", "it computes on blocks for one processor: let ONNX Runtime write"),
        ("Reluu (x)", "there is no kernel for this operator"),
    ],
)
def test_what_has_no_rewrite_is_refused_by_name(call: str, why: str) -> None:
    model = ir.from_onnx_text(HEADER + f"g (float[2,4] x) => (float[2,4] y) {{ [odd] y = {call} }}")
    with pytest.raises(UnsupportedModelError, match=rf"'odd' \(.*\): {why}.* \[GP401\]"):
        compile_model(model)
