"""Strict shape inference: stale shapes go, contradictions are errors, large weights are not read."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.errors import UnsupportedModelError
from graphprune.passes import shape_inference
from graphprune.passes.shape_inference import infer_shapes

HEADER = '<ir_version: 10, opset_import: ["" : 18, "graphprune" : 1, "other" : 1]>'
CONV = (
    HEADER
    + """
main (float[1,4,8,8] x) => (float[1,n,h,v] y) <float[6,4,3,3] w> {
    c = Conv <pads = [1,1,1,1]> (x, w)
    y = Relu (c)
}
"""
)


def read(text: str) -> ir.Model:
    return ir.from_onnx_text(text)


def shape_of(model: ir.Model, name: str) -> str:
    return str(ir.convenience.create_value_mapping(model.graph)[name].shape)


def conv_model(channels: int = 6) -> ir.Model:
    model = read(
        CONV.replace("<float[6,4,3,3] w>", f"<float[{channels},4,3,3] w = {{{','.join(['0'] * channels * 36)}}}>")
    )
    infer_shapes(model)
    return model


def test_shapes_are_inferred_and_outputs_become_concrete() -> None:
    model = conv_model()
    assert shape_of(model, "c") == "[1,6,8,8]"
    assert shape_of(model, "y") == "[1,6,8,8]"


def test_a_cut_weight_leaves_no_stale_shape() -> None:
    model = conv_model()
    model.graph.outputs[0].shape = None
    model.graph.initializers["w"].const_value = ir.tensor(np.zeros((5, 4, 3, 3), np.float32), name="w")
    infer_shapes(model)
    assert shape_of(model, "w") == "[5,4,3,3]"
    assert shape_of(model, "c") == "[1,5,8,8]"


@pytest.fixture
def inferences(monkeypatch: pytest.MonkeyPatch) -> list[ir.Model]:
    """The models whose shapes were not known from before."""
    found: list[ir.Model] = []

    def infer(model: ir.Model) -> None:
        found.append(model)
        real(model)

    real = shape_inference._infer
    monkeypatch.setattr(shape_inference, "_infer", infer)
    return found


def test_what_has_not_changed_is_not_inferred_again(inferences: list[ir.Model]) -> None:
    model = conv_model()
    clone = model.clone()
    infer_shapes(model)
    infer_shapes(clone)
    assert inferences == [model]


def cut_weight(model: ir.Model) -> None:
    model.graph.initializers["w"].const_value = ir.tensor(np.zeros((6, 4, 3, 3), np.float32), name="w")


def other_padding(model: ir.Model) -> None:
    model.graph[0].attributes.add(ir.AttrInt64s("pads", [1, 1, 1, 1]))
    model.graph[0].attributes.add(ir.AttrInt64s("strides", [1, 1]))


def other_input(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape([1, 4, 8, "columns"])


def stale_shape(model: ir.Model) -> None:
    model.graph[0].outputs[0].shape = ir.Shape([1, 7, 8, 8])


def other_type(model: ir.Model) -> None:
    model.graph[0].outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)


def other_opset(model: ir.Model) -> None:
    model.graph.opset_imports[""] = 19


def other_reader(model: ir.Model) -> None:
    model.graph[1].replace_input_with(0, model.graph[0].inputs[0])
    model.graph.outputs[0].shape = None


CHANGES = (cut_weight, other_padding, other_input, stale_shape, other_type, other_opset, other_reader)


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_inferred_again(change: Callable[[ir.Model], None], inferences: list[ir.Model]) -> None:
    model = conv_model().clone()
    change(model)
    fresh = ir.from_proto(ir.to_proto(model))
    infer_shapes(model)
    infer_shapes(fresh)
    assert inferences[1:] == [model, fresh]
    assert ir.to_proto(model).graph.value_info == ir.to_proto(fresh).graph.value_info
    assert ir.to_proto(model).graph.output == ir.to_proto(fresh).graph.output


def test_a_declared_output_that_contradicts_is_an_error() -> None:
    model = conv_model()
    model.graph.initializers["w"].const_value = ir.tensor(np.zeros((5, 4, 3, 3), np.float32), name="w")
    with pytest.raises(UnsupportedModelError, match=r"shapes do not fit: .*6.*5.* \[GP262\]|5.*6.* \[GP262\]"):
        infer_shapes(model)


def test_operands_that_do_not_fit_are_an_error_with_the_operator() -> None:
    model = read(HEADER + "main (float[2,3] x, float[4,5] z) => (float[2,5] y) { y = MatMul (x, z) }")
    with pytest.raises(UnsupportedModelError, match=r"MatMul.*\[GP262\]"):
        infer_shapes(model)


def test_a_reshape_of_another_batch_is_an_error() -> None:
    model = read(HEADER + "main (float[8,4] x) => (float[2,2] y) <int64[2] s = {2,2}> { [flat] y = Reshape (x, s) }")
    with pytest.raises(UnsupportedModelError, match=r"'flat' \(Reshape\): gives \[2, 2\] to \[8, 4\] \[GP262\]"):
        infer_shapes(model)


def test_a_group_norm_has_the_shape_of_its_input() -> None:
    model = read(
        """<ir_version: 10, opset_import: ["" : 21]>
        main (bool c, float[1,4,N,8] x, float[4] s) => (float[a,b,d,e] y) {
            g = GroupNormalization <num_groups = 2> (x, s, s)
            y = If (c) <then_branch = t () => (float[a,b,d,e] u) {
                h = GroupNormalization <num_groups = 2> (g, s, s) u = Relu (h) },
                else_branch = e () => (float[a,b,d,e] v) { v = Identity (g) }>
        }"""
    )
    infer_shapes(model)
    assert shape_of(model, "g") == "[1,4,N,8]"
    assert shape_of(model, "y") == "[1,4,d,8]"
    (branch, *_) = [graph for graph in model.graphs() if graph.name == "t"]
    assert str(branch[0].outputs[0].shape) == "[1,4,N,8]"


def test_symbols_that_inference_makes_up_stay_out_of_the_interface() -> None:
    model = read(
        HEADER
        + "main (float[n] x) => (float[k] y) { z = NonZero (x) t = Cast <to = 1> (z) o = Squeeze (t) y = Relu (o) }"
    )
    infer_shapes(model)
    before = str(ir.to_proto(model))
    infer_shapes(model)
    assert str(ir.to_proto(model)) == before
    assert shape_of(model, "y") == "[k]"


def test_a_call_is_inferred_through_its_function() -> None:
    model = read(
        HEADER
        + """
main (float[1,8,h,v] x, float[n] values, int64[n] where) => (float[1,16,a,b] y) {
    c = graphprune.PackedThing <weight_shape = [16,8,3,3], pads = [1,1,1,1]> (x, values, where)
    y = Relu (c)
}
<domain: "graphprune", opset_import: ["" : 18]>
PackedThing <weight_shape, pads> (X, values, where) => (Y) {
    shape = Constant <value_ints: ints = @weight_shape> ()
    zeros = ConstantOfShape (shape)
    minus = Constant <value_ints = [-1]> ()
    flat = Reshape (zeros, minus)
    filled = ScatterElements (flat, where, values)
    w = Reshape (filled, shape)
    Y = Conv <pads: ints = @pads> (X, w)
}
"""
    )
    infer_shapes(model)
    assert shape_of(model, "c").startswith("[1,16,")


def test_subgraphs_are_inferred_and_their_stale_shapes_cleared() -> None:
    model = read(
        HEADER
        + """
main (float[2,3] x, bool c) => (float[2,3] y) {
    y = If (c) <
        then_branch = yes () => (float[9,9] p) { t = Relu (x) p = Neg (t) },
        else_branch = no () => (float[2,3] q) { q = Neg (x) }
    >
}
"""
    )
    infer_shapes(model)
    branch = model.graph[0].attributes["then_branch"].as_graph()
    assert [str(node.outputs[0].shape) for node in branch] == ["[2,3]", "[2,3]"]


OPAQUE = (
    HEADER
    + """
main (float[2,w] x) => (float[2,w] y) <float[2,3] a, float[7] b> { a = Relu (x) b = other.Thing (a) y = Add (x, a) }
"""
)


def test_what_is_declared_for_an_opaque_node_is_kept_while_its_inputs_stay() -> None:
    model = read(OPAQUE.replace("float[2,w]", "float[2,3]"))
    infer_shapes(model)
    assert shape_of(model, "b") == "[7]"


def test_what_is_declared_for_an_opaque_node_is_dropped_when_its_inputs_change() -> None:
    model = read(OPAQUE.replace("float[2,w]", "float[2,5]"))
    infer_shapes(model)
    assert shape_of(model, "a") == "[2,5]"
    assert shape_of(model, "b") == "None"


def test_what_is_declared_for_an_opaque_node_is_kept_where_its_inputs_become_known() -> None:
    model = read(OPAQUE.replace("float[2,w]", "float[2,3]"))
    model.graph[0].outputs[0].shape = None
    infer_shapes(model)
    assert (shape_of(model, "a"), shape_of(model, "b")) == ("[2,3]", "[7]")


def test_what_is_declared_for_an_opaque_node_is_kept_where_only_a_made_up_symbol_differs() -> None:
    text = "main (float[3] x) => (float[w] y) <float[7] b> { i = NonZero (x) b = other.Thing (i) y = Relu (x) }"
    model = read(HEADER + text)
    for _ in range(3):
        infer_shapes(model)
        model.graph[0].outputs[0].shape = ir.Shape([1, "unk__99"])
    assert shape_of(model, "b") == "[7]"


class _Unread(ir.Tensor["np.ndarray"]):
    """A weight of 3 GB on paper; reading it is an error."""

    def __init__(self) -> None:
        super().__init__(np.broadcast_to(np.float32(0), (3, 1 << 28)), name="w")

    def numpy(self) -> np.ndarray:
        raise AssertionError("the weight was read")

    def tobytes(self) -> bytes:
        raise AssertionError("the weight was read")


def test_a_model_over_2_gb_is_inferred_without_reading_its_weights() -> None:
    model = read(HEADER + f"main (float[1,3] x, float[3,{1 << 28}] w) => (float[a,b] y) {{ y = MatMul (x, w) }}")
    weight = model.graph.inputs.pop()
    weight.const_value = _Unread()
    model.graph.register_initializer(weight)
    infer_shapes(model)
    assert shape_of(model, "y") == f"[1,{1 << 28}]"
    assert list(model.graph.initializers) == ["w"]
    assert [value.name for value in model.graph.inputs] == ["x"]


def test_the_scalars_that_a_loop_declares_stay() -> None:
    model = read(
        HEADER
        + """main (int64 m, bool c, float[1,2] x) => (float[1,2] y) {
            y = Loop (m, c, x) <body = b (int64 i, bool k, float[1,9] v) => (bool k2, float[1,9] o) {
                k2 = Identity (k)
                o = Add (v, x)
            }>
        }"""
    )
    infer_shapes(model)
    body = next(model.graph.subgraphs())
    assert [str(value.shape) for value in (*body.inputs, *body.outputs)] == ["[]", "[]", "None", "[]", "None"]
