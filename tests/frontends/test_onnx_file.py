"""Reading and writing ONNX files."""

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, parser

from graphprune.errors import GraphPruneError, ModelFileError
from graphprune.frontends import external_data, onnx_file
from graphprune.frontends.onnx_file import load, save
from tests.frontends.files import CHAIN, WEIGHT, WIDE_WEIGHT, write, write_external


def tensor_of(model: ir.Model, name: str = "w") -> ir.TensorProtocol:
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_read(tmp_path: Path) -> None:
    model = load(write(tmp_path / "m.onnx"))
    assert [node.name for node in model.graph] == ["product", "activation"]
    assert model.opset_imports == {"": 20}
    np.testing.assert_array_equal(tensor_of(model).numpy(), WEIGHT)


def test_a_path_may_be_a_string_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_external(tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(tensor_of(load("m.onnx")).numpy(), WIDE_WEIGHT)


def test_shapes_are_inferred(tmp_path: Path) -> None:
    model = load(write(tmp_path / "m.onnx"))
    assert model.graph.node("product").outputs[0].shape == ir.Shape((2, 2))


def test_initializers_listed_as_inputs_are_inputs_no_more(tmp_path: Path) -> None:
    text = CHAIN.replace("float[2,4] x)", "float[2,4] x, float[4,2] w)").replace("ir_version: 10", "ir_version: 3")
    model = load(write(tmp_path / "m.onnx", text, w=WEIGHT))
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert model.ir_version == 8


def test_nodes_without_a_name_get_that_of_their_output(tmp_path: Path) -> None:
    text = CHAIN.replace("[product] ", "").replace("[activation] ", "")
    assert [node.name for node in load(write(tmp_path / "m.onnx", text, w=WEIGHT)).graph] == ["p", "y"]


def test_functions_and_subgraphs_are_kept(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20, "local" : 1]>
    g (bool c, float[2] x) => (float[2] y) {
        f = local.twice(x)
        y = If(c) <then_branch = t () => (a) { a = Relu(f) }, else_branch = e () => (b) { b = Neg(f) }>
    }
    <domain: "local", opset_import: ["" : 20]> twice (v) => (r) { r = Add(v, v) }"""
    model = load(write(tmp_path / "m.onnx", text, unused=WEIGHT))
    assert [str(identifier[1]) for identifier in model.functions] == ["twice"]
    assert [attribute.as_graph().name for attribute in model.graph.node("y").attributes.values()] == ["t", "e"]


def test_external_data_is_not_read_at_load(tmp_path: Path) -> None:
    rows, columns = 2**15, 2**15
    path = write_external(tmp_path / "m.onnx", np.empty((0,), np.float32), data=b"")
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].dims[:] = [rows, columns]
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = rows
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = columns
    path.write_bytes(proto.SerializeToString())
    os.truncate(tmp_path / "w.data", 4 * rows * columns)  # 4 GiB of hole
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tensor = tensor_of(load(path))
    assert isinstance(tensor, ir.ExternalTensor)
    assert tensor.shape.numpy() == (rows, columns)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16  # KiB


def test_small_external_tensors_are_held_in_memory(tmp_path: Path) -> None:
    small = np.zeros((64, 1), np.float32)
    path = write_external(tmp_path / "m.onnx", small)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    path.write_bytes(proto.SerializeToString())
    assert isinstance(tensor_of(load(path)), ir.Tensor)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello world", "is not an ONNX model, or damaged: Error parsing message"),
        (bytes(range(256)) * 8, "is not an ONNX model, or damaged: Error parsing message"),
        (b"\x00" * 64, "is not an ONNX model, or damaged: Error parsing message"),
        (b"\x08\x0a", "is not an ONNX model: it has no graph with outputs"),
    ],
)
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"m\.onnx' {reason}.*\[GP102\]$") as caught:
        load(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    whole = write(tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ModelFileError, match=r"\[GP102\]$"):
        load(tmp_path / "m.onnx")


def test_a_redefined_value_is_refused(tmp_path: Path) -> None:
    text = CHAIN.replace("p = MatMul", "y = MatMul").replace("Relu(p)", "Relu(y)")
    with pytest.raises(ModelFileError, match=r"damaged: Output 'y' is redeclared.*\[GP102\]$"):
        load(write(tmp_path / "m.onnx", text, w=WEIGHT))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"cannot read '.*m\.onnx': No such file or directory \[GP101\]"):
        load(tmp_path / "m.onnx")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(ModelFileError, match=r"cannot read '.*m\.onnx': Is a directory \[GP101\]"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize(("name", "hint"), [("m.txt", ""), ("m", ""), ("m.pt", "; graphprune.from_torch takes .*")])
def test_another_extension_is_refused(tmp_path: Path, name: str, hint: str) -> None:
    write(tmp_path / name)
    with pytest.raises(ModelFileError, match=rf"{name}': expected a name ending in \.onnx{hint} \[GP102\]$"):
        load(tmp_path / name)
    with pytest.raises(ModelFileError, match=r"\[GP102\]$"):
        save(load(write(tmp_path / "m.onnx")), tmp_path / name)


def test_bytes_that_do_not_fill_the_shape_are_refused(tmp_path: Path) -> None:
    model = parser.parse_model(CHAIN)
    model.graph.initializer.append(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(4, 2), raw_data=b"\0" * 28))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"tensor 'w': its bytes do not fill FLOAT\[4, 2\].*\[GP105\]$"):
        load(tmp_path / "m.onnx")
    words = TensorProto(name="w", data_type=TensorProto.STRING, dims=(2,), string_data=[b"a"])
    model.graph.initializer[-1].CopyFrom(words)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"tensor 'w': its bytes do not fill STRING\[2\].*\[GP105\]$"):
        load(tmp_path / "m.onnx")


def test_a_saved_model_is_the_same_when_loaded(tmp_path: Path) -> None:
    model = load(write(tmp_path / "in.onnx"))
    model.metadata_props["graphprune.stage"] = "sparse"
    save(model, tmp_path / "out.onnx")
    assert names(tmp_path) == ["in.onnx", "out.onnx"]
    assert ir.to_onnx_text(load(tmp_path / "out.onnx")) == ir.to_onnx_text(model)


def test_external_data_below_the_limit_is_moved_into_the_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(load(write_external(tmp_path / "in" / "m.onnx")), tmp_path / "out.onnx")
    shutil.rmtree(tmp_path / "in")
    np.testing.assert_array_equal(tensor_of(load(tmp_path / "out.onnx")).numpy(), WIDE_WEIGHT)


def test_weights_above_the_limit_go_to_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    model = load(write_external(tmp_path / "in" / "m.onnx"))
    save(model, tmp_path / "out.onnx", limit=1000)
    data = next(tmp_path.glob("out-*.data"))
    assert data.stat().st_size == 8192
    shutil.rmtree(tmp_path / "in")
    saved = tensor_of(load(tmp_path / "out.onnx"))
    assert isinstance(saved, ir.ExternalTensor)
    np.testing.assert_array_equal(saved.numpy(), WIDE_WEIGHT)


def test_other_runtimes_read_the_external_data(tmp_path: Path) -> None:
    save(load(write_external(tmp_path / "m.onnx")), tmp_path / "out.onnx", limit=1000)
    tensor = onnx.load(tmp_path / "out.onnx").graph.initializer[0]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), WIDE_WEIGHT)


def test_every_tensor_of_a_data_file_starts_a_page(tmp_path: Path) -> None:
    model = load(write_external(tmp_path / "m.onnx"))
    for name, size in (("a", 1025), ("b", 5000)):
        tensor = ir.Tensor(np.full(size, 1.0, np.float32), name=name)
        model.graph.register_initializer(
            ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
        )
    save(model, tmp_path / "out.onnx", limit=1000)
    saved = [value.const_value for value in load(tmp_path / "out.onnx").graph.initializers.values()]
    assert [tensor.offset for tensor in saved if isinstance(tensor, ir.ExternalTensor)] == [0, 8192, 16384]


def test_saving_does_not_change_the_model(tmp_path: Path) -> None:
    model = load(write_external(tmp_path / "m.onnx"))
    before = tensor_of(model)
    save(model, tmp_path / "out.onnx", limit=1000)
    assert tensor_of(model) is before


def test_saving_over_the_mapped_file_damages_neither(tmp_path: Path) -> None:
    save(load(write_external(tmp_path / "in.onnx")), tmp_path / "m.onnx", limit=1000)
    model = load(tmp_path / "m.onnx")
    mapped = tensor_of(model).numpy()
    model.graph.initializers["w"].const_value = ir.Tensor(mapped + 1, name="w")
    save(model, tmp_path / "m.onnx", limit=1000)
    np.testing.assert_array_equal(mapped, WIDE_WEIGHT)
    np.testing.assert_array_equal(tensor_of(load(tmp_path / "m.onnx")).numpy(), WIDE_WEIGHT + 1)


def test_data_that_the_replaced_file_alone_used_is_removed(tmp_path: Path) -> None:
    model = load(write(tmp_path / "in.onnx"))
    for scale in (1.0, 2.0):
        model.graph.initializers["w"].const_value = ir.Tensor(WEIGHT * scale, name="w")
        model.graph.register_initializer(_large("unused", scale))
        save(model, tmp_path / "m.onnx", limit=1000)
        del model.graph.initializers["unused"]
    assert len(list(tmp_path.glob("m-*.data"))) == 1
    load(tmp_path / "m.onnx")


def test_data_that_the_saved_model_still_reads_is_kept(tmp_path: Path) -> None:
    save(load(write_external(tmp_path / "in.onnx")), tmp_path / "m.onnx", limit=1000)
    model = load(tmp_path / "m.onnx")
    save(model, tmp_path / "m.onnx")  # now inside the file
    np.testing.assert_array_equal(tensor_of(model).numpy(), WIDE_WEIGHT)


def test_data_that_somebody_else_named_is_kept(tmp_path: Path) -> None:
    write_external(tmp_path / "m.onnx")
    save(load(write(tmp_path / "in.onnx")), tmp_path / "m.onnx")
    assert (tmp_path / "w.data").read_bytes() == WIDE_WEIGHT.tobytes()


def test_a_damaged_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"hello")
    save(load(write(tmp_path / "in.onnx")), tmp_path / "m.onnx")
    load(tmp_path / "m.onnx")


@pytest.mark.parametrize("limit", [0, 10**9])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), ModelFileError)],
)
def test_a_save_that_fails_leaves_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    expected: type[BaseException],
    limit: int,
) -> None:
    model = load(write_external(tmp_path / "in.onnx"))
    before = names(tmp_path)

    def fail(_descriptor: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(expected):
        save(model, tmp_path / "out.onnx", limit=limit)
    assert names(tmp_path) == before


def test_an_interrupt_between_data_and_model_keeps_the_earlier_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(load(write_external(tmp_path / "in.onnx")), tmp_path / "m.onnx", limit=1000)
    model = load(tmp_path / "m.onnx")
    model.graph.initializers["w"].const_value = ir.Tensor(WIDE_WEIGHT + 1, name="w")

    def interrupt(_model: ir.Model) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ir, "to_proto", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(model, tmp_path / "m.onnx", limit=1000)
    monkeypatch.undo()
    assert len(list(tmp_path.glob("m-*.data"))) == 1
    np.testing.assert_array_equal(tensor_of(load(tmp_path / "m.onnx")).numpy(), WIDE_WEIGHT)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    model = load(write(tmp_path / "in.onnx"))
    with pytest.raises(ModelFileError, match=r"cannot write '.*out\.onnx': No such file or directory \[GP106\]"):
        save(model, tmp_path / "no" / "out.onnx")


def test_a_graph_that_protobuf_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(write(tmp_path / "in.onnx"))

    class TooLarge:
        def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
            raise ValueError("Message onnx.ModelProto exceeds maximum protobuf size of 2GB")

    monkeypatch.setattr(ir, "to_proto", lambda _model: TooLarge())
    with pytest.raises(ModelFileError, match=r"the graph without its weights exceeds 2147483647 bytes \[GP107\]"):
        save(model, tmp_path / "out.onnx")


def test_tiny_models_survive_a_round_trip(tmp_path: Path, tiny_models: Callable[[str], ir.Model]) -> None:
    model = tiny_models("resnet_tiny")
    save(model, tmp_path / "m.onnx", limit=1000)
    loaded = load(tmp_path / "m.onnx")
    assert {name: tensor_of(loaded, name).tobytes() for name in loaded.graph.initializers} == {
        name: tensor_of(model, name).tobytes() for name in model.graph.initializers
    }


def _large(name: str, fill: float) -> ir.Value:
    tensor = ir.Tensor(np.full(2000, fill, np.float32), name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    model = load(write_external(tmp_path / "in.onnx"))
    first, second = (external_data.data_path(model, tmp_path / f"{name}.onnx") for name in "ab")
    assert first.name.removeprefix("a-") == second.name.removeprefix("b-")
    model.graph.initializers["w"].const_value = ir.Tensor(WIDE_WEIGHT + 1, name="w")
    assert external_data.data_path(model, tmp_path / "a.onnx") != first


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 4)):
        damaged[place : place + rng.integers(3)] = rng.bytes(int(rng.integers(3)))
    return bytes(damaged)


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_named_or_harmless(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = write(tmp_path / "m.onnx").read_bytes()
    refusals = 0
    for _ in range(100):
        (tmp_path / "m.onnx").write_bytes(_damaged(content, rng))
        try:
            load(tmp_path / "m.onnx")
        except GraphPruneError:
            refusals += 1
    assert refusals > 50


def test_what_fails_behind_the_parser_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_model: ir.Model, _source: Path) -> None:
        raise TypeError("has_schema(): incompatible\nfunction arguments")

    monkeypatch.setattr(onnx_file, "check_well_formed", fail)
    with pytest.raises(ModelFileError, match=r"damaged: has_schema\(\): incompatible function arguments \[GP102\]$"):
        load(write(tmp_path / "m.onnx"))
