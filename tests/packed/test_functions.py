"""The bodies of packed calls: valid ONNX that decodes, for every operator set from the oldest on."""

import numpy as np
import onnx.parser
import onnx.reference
import onnx_ir as ir
import pytest
from onnx import checker, defs

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import PreconditionError
from graphprune.packed.forms import FUNCTIONS
from graphprune.packed.functions import OLDEST_OPSET, define, drop_unused_functions, function_text
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.stages.verification import verify_stage
from tests.weighted import weighted_model

TEXT = """<ir_version: 10, opset_import: ["" : {}]>
main (float[N,3] x, float[3,2] w) => (float[N,2] y) {{ y = MatMul (x, w) }}"""
WEIGHT = np.array([[0, 5], [0, 0], [7, 0]], np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_are_no_operators(name: str) -> None:
    assert not defs.has(name)


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 18, 21])
def test_a_packed_model_is_valid_and_runs(opset: int) -> None:
    model = run_pass(PackWeights(), weighted_model(TEXT.format(opset), {"w": WEIGHT})).model
    checker.check_model(ir.to_proto(model), full_check=True)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(session_for(model).run(None, {"x": x})[0], x @ WEIGHT)


def test_inlined_it_is_plain_onnx() -> None:
    from onnx import inliner

    model = run_pass(PackWeights(), weighted_model(TEXT.format(18), {"w": WEIGHT})).model
    plain = inliner.inline_local_functions(ir.to_proto(model))
    assert not plain.functions
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = onnx.reference.ReferenceEvaluator(plain).run(None, {"x": x})
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, x @ WEIGHT)


def test_the_shape_of_a_call_is_inferred() -> None:
    text = TEXT.format(18).replace("y = MatMul (x, w)", "a = MatMul (x, w) y = Neg (a)")
    model = run_pass(PackWeights(), weighted_model(text, {"w": WEIGHT})).model
    assert str(model.graph.node(0).outputs[0].shape) == "[N,2]"


def test_defining_twice_keeps_the_first() -> None:
    model = weighted_model(TEXT.format(18))
    define(model, "PackedConv")
    first = dict(model.functions)
    define(model, "PackedConv")
    assert dict(model.functions) == first


def test_unused_functions_are_dropped_and_others_stay() -> None:
    model = weighted_model(TEXT.format(18))
    define(model, "PackedConv")
    text = function_text("PackedGemm", 18).replace("PackedGemm", "SoftMask")
    other = ir.serde.deserialize_function(onnx.parser.parse_function(text))
    model.functions[other.identifier()] = other
    drop_unused_functions(model)
    assert list(model.functions) == [other.identifier()]
    assert model.graph.opset_imports["graphprune"] == 1
    del model.functions[other.identifier()]
    drop_unused_functions(model)
    assert "graphprune" not in model.graph.opset_imports
    verify_stage(model)


def test_an_older_operator_set_is_refused() -> None:
    with pytest.raises(PreconditionError, match=r"model has operator set 15, packed calls need 16 \[GP344\]"):
        define(weighted_model(TEXT.format(15)), "PackedGemm")
