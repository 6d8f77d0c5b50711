"""Model files that cannot be used: one line, exit code 2, nothing written, the file untouched."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.invoke import assert_refused, invoke
from tests.small_model import TEXT, proto, unchanged, weight, write


def truncated(folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(proto().SerializeToString()[:-500])
    return path


def random_bytes(folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    return path


def empty(folder: Path) -> Path:
    (folder / "m.onnx").touch()
    return folder / "m.onnx"


def missing(folder: Path) -> Path:
    return folder / "m.onnx"


def a_folder(folder: Path) -> Path:
    (folder / "m.onnx").mkdir()
    return folder / "m.onnx"


def wrong_extension(folder: Path) -> Path:
    return write(folder / "m.txt")


def external(folder: Path, location: str) -> Path:
    model = proto()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = folder / "inner" / "m.onnx"
    path.parent.mkdir()
    path.write_bytes(model.SerializeToString())
    return path


def external_missing(folder: Path) -> Path:
    return external(folder, "weights.bin")


def external_outside(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(weight().tobytes())
    return external(folder, "../weights.bin")


def external_short(folder: Path) -> Path:
    path = external(folder, "weights.bin")
    (path.parent / "weights.bin").write_bytes(weight().tobytes()[:-4])
    return path


def missing_function(folder: Path) -> Path:
    text = TEXT.replace('["" : 20]', '["" : 20, "graphprune" : 1]').replace("Relu(c)", "graphprune.PackedMagic(c)")
    return write(folder / "m.onnx", text)


def domain_without_version(folder: Path) -> Path:
    return write(folder / "m.onnx", TEXT.replace("Relu(c)", "com.example.Magic(c)"))


def cyclic(folder: Path) -> Path:
    model = proto()
    model.graph.node[0].input[0] = "y"
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def dangling(folder: Path) -> Path:
    model = proto()
    model.graph.node[1].input[0] = "nowhere"
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def ill_shaped(folder: Path) -> Path:
    return write(folder / "m.onnx", TEXT.replace("float[1,16,6,6] y", "float[1,17,6,6] y"))


def wrong_channels(folder: Path) -> Path:
    return write(folder / "m.onnx", w=weight((16, 5, 3, 3)))


def twice_defined(folder: Path) -> Path:
    model = proto()
    model.graph.node[0].output[0] = "y"
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def no_graph(folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(onnx.ModelProto(ir_version=10).SerializeToString())
    return path


CASES: list[tuple[Callable[[Path], Path], str]] = [
    (truncated, "m.onnx"),
    (random_bytes, "m.onnx"),
    (empty, "m.onnx"),
    (missing, "m.onnx"),
    (a_folder, "m.onnx"),
    (wrong_extension, "m.txt"),
    (external_missing, "weights.bin"),
    (external_outside, "weights.bin"),
    (external_short, "'w'"),
    (missing_function, "PackedMagic"),
    (domain_without_version, "com.example"),
    (cyclic, "cycle"),
    (dangling, "nowhere"),
    (ill_shaped, "17"),
    (wrong_channels, "'conv'"),
    (twice_defined, "'y'"),
    (no_graph, "m.onnx"),
]
COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "inspect": lambda model, _: ["inspect", model],
    "prune": lambda model, folder: ["prune", model, folder / "out.onnx"],
    "pack": lambda model, folder: ["pack", model, folder / "out.onnx"],
    "unpack": lambda model, folder: ["unpack", model, folder / "out.onnx"],
    "compile": lambda model, folder: ["compile", model, folder / "out.so"],
    "run": lambda model, folder: ["run", model, "--output", folder / "out.npz"],
    "verify": lambda model, _: ["verify", model, model],
    "bench": lambda model, _: ["bench", model, "--against", "onnxruntime"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("spoil", "named"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_a_bad_file_is_refused(tmp_path: Path, spoil: Callable[[Path], Path], named: str, command: str) -> None:
    path = spoil(tmp_path)
    with unchanged(tmp_path):
        assert_refused(invoke(*COMMANDS[command](path, tmp_path)), named)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers_cannot_be_ranked(tmp_path: Path, value: float) -> None:
    spoilt = weight()
    spoilt[3, 2, 1, 0] = value
    path = write(tmp_path / "m.onnx", w=spoilt)
    with unchanged(tmp_path):
        assert_refused(invoke("prune", path, tmp_path / "out.onnx"), "'w'", "[GP323]")


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(200)])
@pytest.mark.parametrize("command", ["run", "verify", "bench"])
def test_a_bad_compiled_file_is_refused(tmp_path: Path, content: bytes, command: str) -> None:
    path = tmp_path / "m.so"
    path.write_bytes(content)
    arguments: list[object] = [command, path, path] if command == "verify" else [command, path]
    with unchanged(tmp_path):
        assert_refused(invoke(*arguments), "m.so")


def test_a_missing_compiled_file_is_refused(tmp_path: Path) -> None:
    assert_refused(invoke("run", tmp_path / "m.so"), "m.so: no such file", "[GP531]")


def test_an_input_without_elements_cannot_be_compiled(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", TEXT.replace("float[1,8,6,6]", "float[0,8,6,6]").replace("[1,16", "[0,16"))
    with unchanged(tmp_path):
        assert_refused(invoke("compile", path, tmp_path / "m.so"), "x: float32[0, 8, 6, 6]", "[GP535]")


def test_open_dimensions_cannot_be_compiled(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx", TEXT.replace("[1,8,6,6]", "[batch,8,side,6]").replace("[1,16,6", "[batch,16,side")
    )
    with unchanged(tmp_path):
        outcome = invoke("compile", path, tmp_path / "m.so")
    assert_refused(outcome, "x: float32[batch, 8, side, 6]", "--input-shape x:1x8x<side>x6", "[GP534]")
