"""One operator computed at compile time: attributes of every kind, and results that are not believed."""

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.passes.evaluation import CannotEvaluateError, evaluate

HEADER = '<ir_version: 10, opset_import: ["" : 18]>'


def only_node(body: str, constants: str) -> tuple[ir.Model, ir.Node]:
    model = ir.from_onnx_text(f"{HEADER} g () => (float[n] y) <{constants}> {{ {body} }}")
    return model, model.graph[0]


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("value = double[2] {1, 2}", np.array([1.0, 2.0])),
        ("value_float = 1.5", np.array(1.5, np.float32)),
        ("value_floats = [1.5, 2.0]", np.array([1.5, 2.0], np.float32)),
        ("value_int = 3", np.array(3)),
        ("value_ints = [3, 4]", np.array([3, 4])),
    ],
)
def test_a_constant_of_every_kind(attribute: str, expected: np.ndarray) -> None:
    model, node = only_node(f"y = Constant <{attribute}> ()", "float u = {0}")
    (tensor,) = evaluate(model, node)
    assert tensor.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_all_outputs_and_missing_operands() -> None:
    model, node = only_node("a, b = Split <num_outputs = 2> (c)", "float[4] c = {1, 2, 3, 4}")
    assert [tensor.numpy().tolist() for tensor in evaluate(model, node)] == [[1, 2], [3, 4]]
    model, node = only_node("y = Clip (c, , m)", "float[2] c = {1, 9}, float m = {5}")
    assert evaluate(model, node)[0].numpy().tolist() == [1, 5]


@pytest.mark.parametrize(
    "body",
    [
        "y = Resize (c, , s)",
        "y = LpNormalization <p = 1> (c)",
        "y = LogSoftmax (c)",
        "y, i = MaxPool <kernel_shape = [3], pads = [1, 1]> (c)",
        "y = MaxPool <ceil_mode = 1, kernel_shape = [2], dilations = [2], strides = [2]> (c)",
    ],
)
def test_what_onnx_computes_otherwise_is_left_to_the_runtime(body: str) -> None:
    model, node = only_node(body, "float[2] c = {1, -9}, float[1] s = {1.9}")
    with pytest.raises(CannotEvaluateError, match=r"^onnx evaluates it otherwise than ONNX Runtime$"):
        evaluate(model, node)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32_and_rounded_once(dtype: str) -> None:
    """The square of 0.00018 has few digits in float16."""
    element = ir.DataType[dtype.upper()]
    body = f"g () => ({dtype}[1,1,1] y) <{dtype}[1,1,1] c = {{1}}> {{ y = ReduceL2 <noop_with_empty_axes = 0> (c) }}"
    model = ir.from_onnx_text(HEADER + body)
    value = model.graph.initializers["c"]
    value.const_value = ir.tensor(np.array([[[0.00018]]], element.numpy()))
    (tensor,) = evaluate(model, model.graph[0])
    assert tensor.dtype == element
    np.testing.assert_array_equal(tensor.numpy(), value.const_value.numpy())


def test_bits_of_halves_stay() -> None:
    body = "g () => (int16[1] y) <float16[1] c = {1}> { y = BitCast <to = 5> (c) }"
    model = ir.from_onnx_text('<ir_version: 13, opset_import: ["" : 26]>' + body)
    model.graph.initializers["c"].const_value = ir.tensor(np.array([1], np.float16))
    assert evaluate(model, model.graph[0])[0].numpy().tolist() == [0x3C00]


def test_a_failure_is_one_line_with_its_reason() -> None:
    model, node = only_node("y = Gather (c, i)", "float[2] c = {1, 9}, int64 i = {5}")
    with pytest.raises(CannotEvaluateError, match=r"^onnx cannot evaluate it: .*5"):
        evaluate(model, node)


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (ir.DataType.DOUBLE, [2], "onnx evaluates it to FLOAT, expected DOUBLE"),
        (ir.DataType.FLOAT, [3], r"onnx evaluates it to shape \[2\], expected \[3\]"),
    ],
)
def test_a_result_that_contradicts_inference_is_not_believed(
    dtype: ir.DataType, shape: list[int], message: str
) -> None:
    model, node = only_node("r = Neg (c)", "float[2] c = {1, 9}")
    node.outputs[0].type = ir.TensorType(dtype)
    node.outputs[0].shape = ir.Shape(shape)
    with pytest.raises(CannotEvaluateError, match=message):
        evaluate(model, node)
