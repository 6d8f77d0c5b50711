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
        ("(w, w_s, w_z)", "<block_size = 3, axis = 0> (w, w_s, w_z)"),
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
