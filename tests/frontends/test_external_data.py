"""External data that is missing, short, of another size, or outside the model's folder."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, parser

from graphprune.errors import ModelFileError
from graphprune.frontends.external_data import anchor_external_data, is_written_for
from graphprune.frontends.onnx_file import load
from tests.frontends.files import WIDE_WEIGHT, write_external


def refused(path: Path, pattern: str) -> None:
    with pytest.raises(ModelFileError, match=pattern) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "tensor 'w'" in str(caught.value)


def test_data_in_a_folder_below_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    model = load(write_external(tmp_path / "m.onnx", location="weights/w.data"))
    tensor = model.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), WIDE_WEIGHT)


def test_an_offset_is_honoured(tmp_path: Path) -> None:
    data = bytes(64) + WIDE_WEIGHT.tobytes()
    model = load(write_external(tmp_path / "m.onnx", offset=64, length=WIDE_WEIGHT.nbytes, data=data))
    tensor = model.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), WIDE_WEIGHT)


def test_a_folder_that_is_reached_through_a_link_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write_external(tmp_path / "real" / "m.onnx")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    load(tmp_path / "link" / "m.onnx")


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx", location="v2.data")
    (tmp_path / "v2.data").rename(tmp_path / "v1.data")
    (tmp_path / "v2.data").symlink_to("v1.data")
    load(path)


def test_external_data_of_a_constant_node_is_read(tmp_path: Path) -> None:
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[2] x) => (float[2] y) { y = Add(x, x) }'
    model = parser.parse_model(text)
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=(2,), data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="c.data")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["c"], value=tensor))
    model.graph.node[1].input[1] = "c"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "c.data").write_bytes(np.array([1, 2], np.float32).tobytes())
    constant = next(node for node in load(tmp_path / "m.onnx").graph if node.op_type == "Constant")
    (tmp_path / "c.data").unlink()
    np.testing.assert_array_equal(constant.attributes["value"].as_tensor().numpy(), [1, 2])


def test_missing_data_is_refused(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx")
    (tmp_path / "w.data").unlink()
    refused(path, r"external data '.*w\.data' cannot be read: No such file or directory \[GP103\]$")


def test_a_folder_as_data_is_refused(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx")
    (tmp_path / "w.data").unlink()
    (tmp_path / "w.data").mkdir()
    refused(path, r"external data '.*w\.data' is not a regular file \[GP103\]$")


@pytest.mark.parametrize(("offset", "needed"), [(0, 8192), (4, 8196)])
def test_truncated_data_is_refused(tmp_path: Path, offset: int, needed: int) -> None:
    path = write_external(tmp_path / "m.onnx", offset=offset, data=WIDE_WEIGHT.tobytes()[: 8192 - 4 + offset])
    refused(path, rf"has {8188 + offset} bytes, expected at least {needed} \[GP103\]$")


@pytest.mark.parametrize("length", [0, 8188, 8196])
def test_a_length_that_is_not_that_of_the_shape_is_refused(tmp_path: Path, length: int) -> None:
    path = write_external(tmp_path / "m.onnx", length=length)
    refused(path, rf"has {length} bytes at offset 0, its shape \[64, 32\] of FLOAT needs 8192 \[GP105\]$")


def test_a_negative_offset_is_refused(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx")
    tensor = ir.ExternalTensor("w.data", -4, 8192, ir.DataType.FLOAT, shape=ir.Shape((64, 32)), name="w")
    model = load(path)
    model.graph.initializers["w"].const_value = tensor
    with pytest.raises(ModelFileError, match=r"tensor 'w': .* 8192 bytes at offset -4.*\[GP105\]$"):
        anchor_external_data(model, path)


def test_a_negative_offset_in_a_file_is_refused(tmp_path: Path) -> None:
    refused(write_external(tmp_path / "m.onnx", offset=-4), r"-4 .*tensor 'w' \[GP102\]$|at offset -4.*\[GP105\]$")


@pytest.mark.parametrize("form", ["..", "inner/../..", "absolute"])
def test_a_location_outside_the_folder_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / "model" / "inner").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_bytes(WIDE_WEIGHT.tobytes())
    location = str(secret) if form == "absolute" else f"{form}/secret"
    path = write_external(tmp_path / "model" / "m.onnx", location=location)
    refused(path, r"external data '.*secret' is outside the model's folder '.*model' \[GP104\]$")


def test_a_link_to_the_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(WIDE_WEIGHT.tobytes())
    (tmp_path / "model" / "w.data").symlink_to(tmp_path / "secret")
    refused(write_external(tmp_path / "model" / "m.onnx"), r"'w\.data' is outside the model's folder.*\[GP104\]$")


def test_a_second_name_of_the_file_is_refused(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx")
    os.link(tmp_path / "w.data", tmp_path / "other")
    refused(path, r"external data '.*w\.data' has 2 hard links, expected 1 \[GP104\]$")


def test_an_empty_location_is_refused(tmp_path: Path) -> None:
    path = write_external(tmp_path / "m.onnx")
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = ""
    path.write_bytes(proto.SerializeToString())
    refused(path, r"external data '' is outside the model's folder.*\[GP104\]$")


def test_four_bit_weights_are_measured_in_half_bytes(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[1] x) => (float[128,100] y) { y = DequantizeLinear(w, s)  z = Relu(x) }"""
    model = parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), "s"))
    tensor = TensorProto(name="w", data_type=TensorProto.INT4, dims=(128, 100), data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.data")
    model.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "w.data").write_bytes(bytes(6400))
    assert isinstance(load(tmp_path / "m.onnx").graph.initializers["w"].const_value, ir.ExternalTensor)
    (tmp_path / "w.data").write_bytes(bytes(6399))
    refused(tmp_path / "m.onnx", r"has 6399 bytes, expected at least 6400 \[GP103\]$")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m-0123456789abcdef.data", True),
        ("m-0123456789abcde.data", False),
        ("n-0123456789abcdef.data", False),
        ("m.data", False),
        ("other/m-0123456789abcdef.data", False),
    ],
)
def test_only_our_own_data_files_are_recognised(tmp_path: Path, name: str, *, expected: bool) -> None:
    assert is_written_for(tmp_path / name, tmp_path / "m.onnx") is expected
