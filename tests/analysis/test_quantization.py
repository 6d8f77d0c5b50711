import numpy as np
import onnx_ir as ir
import pytest

from graphprune.analysis.quantization import dequantized_readers, quantization_of
from graphprune.analysis.sparsity import parameter_counts, weight_counts
from tests.weighted import weighted_model

TEXT = """main (float[N,3] x, uint8[3,2] w, float[2] w_s, uint8[2] w_z) => (float[N,2] y) {
    d = DequantizeLinear (w, w_s, w_z)
    y = MatMul (x, d)
}"""
WEIGHTS = {
    "w": np.array([[128, 0], [130, 3], [0, 5]], "uint8"),
    "w_s": np.array([0.5, 2], "float32"),
    "w_z": np.array([128, 3], "uint8"),
}


def model(old: str = "", new: str = "") -> ir.Model:
    return weighted_model(TEXT.replace(old, new) if old else TEXT, WEIGHTS)


def test_integers_stand_for_real_numbers_with_one_scale_an_index_of_an_axis() -> None:
    how = quantization_of(model().graph.initializers["w"])
    assert how is not None
    assert how.real(WEIGHTS["w"]).tolist() == [[0, -6], [1, 0], [-64, 4]]


def test_one_scale_and_no_zero_point() -> None:
    how = quantization_of(model("(w, w_s, w_z)", "(w, w_one)".replace("w_one", "w_s")).graph.initializers["w"])
    assert how is not None
    assert how.real(WEIGHTS["w"]).tolist() == [[64, 0], [65, 6], [0, 10]]


def test_along_the_first_axis() -> None:
    text = TEXT.replace("(w, w_s, w_z)", "<axis = 0> (w, w_s, w_z)").replace("[2]", "[3]")
    three = {"w": WEIGHTS["w"], "w_s": np.array([1, 2, 4], "float32"), "w_z": np.array([0, 130, 0], "uint8")}
    how = quantization_of(weighted_model(text, three).graph.initializers["w"])
    assert how is not None
    assert how.real(WEIGHTS["w"]).tolist() == [[128, 0], [0, -254], [0, 20]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("float[2] w_s", "float[2] s"),
        ("uint8[2] w_z) =>", "uint8[2] z) =>"),
        ("y = MatMul", "e = Cast <to = 1> (w) y = MatMul"),
    ],
)
def test_what_is_not_known_is_not_quantized(old: str, new: str) -> None:
    changed = model(old, new)
    for node in changed.graph:
        for position, name in ((1, "s"), (2, "z")):
            given = [value for value in changed.graph.inputs if value.name == name]
            if node.op_type == "DequantizeLinear" and given:
                node.replace_input_with(position, given[0])
    assert quantization_of(changed.graph.initializers["w"]) is None


def test_readers_are_those_of_what_it_stands_for() -> None:
    (reader,) = dequantized_readers(model().graph.initializers["w"], 2)
    assert reader is not None
    assert (reader.node.op_type, reader.index, reader.perm) == ("MatMul", 1, (0, 1))


def test_the_zeros_of_a_quantized_constant_are_its_zero_points() -> None:
    assert weight_counts(model())["w"].zeros == 2
    total = parameter_counts(model())
    assert (total.elements, total.zeros) == (10, 2)


def test_one_scale_a_block_whose_last_may_be_shorter() -> None:
    text = """main (float[N,3] x, int8[3,2] w, float[2,2] w_s, int8[2,2] w_z) => (float[N,2] y) {
        d = DequantizeLinear <axis = 0, block_size = 2> (w, w_s, w_z)
        y = MatMul (x, d)
    }"""
    blocks = {
        "w": np.array([[1, 2], [3, 4], [5, 6]], "int8"),
        "w_s": np.array([[1, 2], [4, 8]], "float32"),
        "w_z": np.array([[1, 0], [5, 0]], "int8"),
    }
    blocked = weighted_model(text, blocks)
    how = quantization_of(blocked.graph.initializers["w"])
    assert how is not None
    assert how.real(blocks["w"]).tolist() == [[0, 4], [2, 8], [0, 48]]
    assert weight_counts(blocked)["w"].zeros == 2


_HEADER = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]> main '
_STEPS = {"w_t": np.array(1, "float32"), "w_p": np.array(7, "uint8")}
_GIVEN = "float w_t, uint8 w_p, float[2] w_s, uint8[2] w_z"
PRODUCTS = {
    "QLinearMatMul": ("uint8", "QLinearMatMul (q, w_t, w_p, w, w_s, w_z, w_t, w_p)"),
    "MatMulInteger": ("int32", "MatMulInteger (q, w, w_p, w_z)"),
    "QGemm": ("uint8", "com.microsoft.QGemm (q, w_t, w_p, w, w_s, w_z, , w_t, w_p)"),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_zeros_of_the_weight_of_a_product_of_integers_are_its_zero_points(name: str) -> None:
    kind, call = PRODUCTS[name]
    text = f"{_HEADER} (uint8[N,3] q, uint8[3,2] w, {_GIVEN}) => ({kind}[N,2] y) {{ y = {call} }}"
    assert weight_counts(weighted_model(text, WEIGHTS | _STEPS))["w"].zeros == 2


@pytest.mark.parametrize(
    ("shape", "x", "call"),
    [
        ((2, 3), "N,3", "com.microsoft.QGemm <transB = 1> (q, w_t, w_p, w, w_s, w_z, , w_t, w_p)"),
        ((2, 3, 1), "1,3,4", "QLinearConv (q, w_t, w_p, w, w_s, w_z, w_t, w_p)"),
    ],
)
def test_a_zero_point_for_each_row_of_a_weight(shape: tuple[int, ...], x: str, call: str) -> None:
    extents = ",".join(map(str, shape))
    text = f"{_HEADER} (uint8[{x}] q, uint8[{extents}] w, {_GIVEN}) => (uint8[a,b] y) {{ y = {call} }}"
    weight = {"w": np.array([[3, 0, 3], [5, 5, 1]], "uint8").reshape(shape), "w_z": np.array([3, 5], "uint8")}
    assert weight_counts(weighted_model(text, WEIGHTS | _STEPS | weight))["w"].zeros == 4


def test_a_weight_that_is_read_by_two_zero_points_has_the_zeros_of_its_integers() -> None:
    text = f"""{_HEADER} (uint8[N,3] q, uint8[3,2] w, uint8 w_p, uint8[2] w_z) => (int32[N,2] y, int32[N,2] u) {{
        y = MatMulInteger (q, w, w_p, w_z)
        u = MatMulInteger (q, w, w_p, w_p)
    }}"""
    assert weight_counts(weighted_model(text, WEIGHTS | _STEPS))["w"].zeros == 2  # the numbers 0
