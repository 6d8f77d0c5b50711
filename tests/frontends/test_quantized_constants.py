"""Constants behind QuantizeLinear: which become integers, under which names, with which values."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.constants import constant_tensor
from graphprune.frontends.onnx_file import load
from graphprune.frontends.quantized_constants import fold_parameters, fold_quantized_constants
from tests.frontends.files import write
from tests.frontends.unoptimized import run_unoptimized

_HEADER = '<ir_version: 10, opset_import: ["" : 20]> g (float[2,4] x) => (float[2,2] y) '
_STEPS = "float[2] s = {0.5, 0.25}, int8[2] z = {0, 3}"
_QUANTIZED = "q = QuantizeLinear <axis = 1> (w, s, z)"
_REST = "d = DequantizeLinear <axis = 1> (q, s, z) y = MatMul (x, d)"
_WEIGHT = np.array([[0, 1.1], [-0.76, 40], [0.25, 0], [0.74, -1]], np.float32)
_INTEGERS = [[0, 7], [-2, 127], [0, 3], [1, -1]]


def model_of(body: str, more: str = "", y: str = "float[2,2] y", steps: str = _STEPS) -> ir.Model:
    header = _HEADER.replace("float[2,2] y", y)
    model = ir.from_onnx_text(f"{header} <{steps}{more}> {{ {body} }}")
    model.graph.register_initializer(ir.Value(name="w", const_value=ir.tensor(_WEIGHT)))
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            if value is not None and value.name == "w":
                node.replace_input_with(index, model.graph.initializers["w"])
    return model


def integers(model: ir.Model, name: str) -> list[list[int]]:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    found: list[list[int]] = tensor.numpy().tolist()
    return found


def test_a_file_with_floats_before_quantize_linear_holds_integers_once_it_is_loaded(tmp_path: Path) -> None:
    scale, zero_point = np.array([0.5, 0.25], np.float32), np.array([0, 3], np.int8)
    path = write(tmp_path / "trained.onnx", f"{_HEADER} {{ {_QUANTIZED} {_REST} }}", w=_WEIGHT, s=scale, z=zero_point)
    model = load(path)
    assert [node.op_type for node in model.graph] == ["DequantizeLinear", "MatMul"]
    assert set(model.graph.initializers) == {"w_quantized", "s", "z"}
    assert integers(model, "w_quantized") == _INTEGERS


def test_it_computes_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    body = f"{_QUANTIZED} {_REST}"
    model = model_of(body)
    fold_quantized_constants(model)
    np.testing.assert_array_equal(run_unoptimized(model, x), run_unoptimized(model_of(body), x))


def test_bounds_of_the_integers_are_folded_too() -> None:
    body = "q0 = QuantizeLinear <axis = 1> (w, s, z) q = Clip (q0, low, high)"
    model = model_of(f"{body} {_REST}", ", int8 low = {-1}, int8 high = {7}")
    fold_quantized_constants(model)
    assert integers(model, "w_quantized") == [[0, 7], [-1, 7], [0, 3], [1, -1]]


def test_a_scaled_weight_keeps_the_weights_name() -> None:
    model = model_of(f"w1 = Mul (w, f) q = QuantizeLinear <axis = 1> (w1, s, z) {_REST}", ", float f = {2}")
    fold_quantized_constants(model)
    assert integers(model, "w_quantized")[0] == [0, 12]
    assert "w" not in model.graph.initializers


def test_a_weight_that_others_read_stays_beside_its_integers() -> None:
    model = model_of(f"{_QUANTIZED} d = DequantizeLinear <axis = 1> (q, s, z) e = Add (d, w) y = MatMul (x, e)")
    fold_quantized_constants(model)
    assert {"w", "w_quantized"} < set(model.graph.initializers)


def test_a_name_that_is_taken_is_left_alone() -> None:
    model = model_of(f"{_QUANTIZED} {_REST}", ", float w_quantized = {1}", "float[2,2] y, float w_quantized")
    fold_quantized_constants(model)
    assert integers(model, "w_quantized_1") == _INTEGERS


@pytest.mark.parametrize(
    "body",
    [
        "q = QuantizeLinear (x, one, point) d = DequantizeLinear (q, one, point) y = MatMul (d, w)",
        f"{_QUANTIZED} e = DequantizeLinear <axis = 1> (q, s, z) y = MatMul (x, e) o = Identity (q)",
    ],
)
def test_values_that_depend_on_inputs_and_outputs_stay(body: str) -> None:
    y = "float[2,2] y, int8[4,2] q" if "o = " in body else "float[2,2] y"
    model = model_of(body.replace("o = Identity (q)", ""), ", float one = {1}, int8 point = {0}", y)
    fold_quantized_constants(model)
    assert "QuantizeLinear" in {node.op_type for node in model.graph}


def test_parameters_that_are_computed_become_constants() -> None:
    model = model_of(
        f"s = Div (s0, two) z = Cast <to = 3> (z0) {_QUANTIZED} {_REST}",
        steps="float[2] s0 = {1, 0.5}, float two = {2}, int32[2] z0 = {0, 3}",
    )
    fold_parameters(model)
    quantizers = [node for node in model.graph if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert all(constant_tensor(value) is not None for node in quantizers for value in node.inputs[1:])
    assert "Div" not in {node.op_type for node in model.graph}
    assert "QuantizeLinear" in {node.op_type for node in model.graph}
