"""Packing and unpacking files: what is told, what is equal, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.invoke import assert_refused, invoke
from tests.small_model import unchanged, weight, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The small model with a 2:4 weight."""
    sparse = weight()
    sparse[:, ::4] = sparse[:, 1::4] = 0
    return write(tmp_path / "m.onnx", w=sparse)


@pytest.fixture
def packed(source: Path) -> Path:
    path = source.with_name("packed.onnx")
    assert invoke("pack", source, path).code == 0
    return path


def initializers(path: Path) -> dict[str, bytes]:
    return {each.name: numpy_helper.to_array(each).tobytes() for each in onnx.load(path).graph.initializer}


def test_there_and_back(source: Path) -> None:
    packed, back = source.with_name("packed.onnx"), source.with_name("back.onnx")
    outcome = invoke("pack", source, packed)
    assert (outcome.code, outcome.err) == (0, "")
    for fragment in ("2:4", "4,608", "2,448", "53.1%", f"{packed}: 1 packed weights, 2,448 of 4,608 bytes (53.1%)"):
        assert fragment in outcome.out
    assert invoke("verify", source, packed).code == 0
    outcome = invoke("unpack", packed, back)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{back}: 1 dense weights" in outcome.out
    assert initializers(back) == initializers(source)


def test_the_report(source: Path) -> None:
    packed = source.with_name("packed.onnx")
    report = json.loads(invoke("pack", source, packed, "--json").out)
    (entry,) = report["weights"]
    assert (entry["name"], entry["layout"], entry["stored_bytes"], entry["dense_bytes"]) == ("w", "2:4", 2448, 4608)
    assert report["skips"] == []
    assert json.loads(invoke("unpack", packed, source.with_name("b.onnx"), "--json").out)["weights"] == [entry]


def test_rows_where_they_are_asked_for(source: Path) -> None:
    options = ("--layout", "rows", "--min-sparsity", "0.5")
    report = json.loads(invoke("pack", source, source.with_name("packed.onnx"), *options, "--json").out)
    assert [entry["layout"] for entry in report["weights"]] == ["rows"]


@pytest.mark.parametrize(("options", "code"), [(("--layout", "1:4"), "GP347"), (("--layout", "rows"), "GP340")])
def test_what_stays_dense_says_why(source: Path, options: tuple[str, str], code: str) -> None:
    packed = source.with_name("packed.onnx")
    outcome = invoke("pack", source, packed, *options)
    assert outcome.code == 0
    assert code in outcome.out
    assert f"{packed}: no weight is packed" in outcome.out


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (("--layout", "4:4"), ("layout is '4:4'", "[GP346]")),
        (("--layout", "2:5"), ("layout is '2:5'", "[GP346]")),
        (("--layout", "zigzag"), ("layout is 'zigzag'", "[GP346]")),
        (("--min-sparsity", "1.5"), ("min_sparsity is 1.5", "[GP345]")),
        (("--min-sparsity", "nan"), ("min_sparsity is nan", "[GP345]")),
    ],
)
def test_wrong_options_are_refused(source: Path, options: tuple[str, ...], fragments: tuple[str, ...]) -> None:
    with unchanged(source.parent):
        assert_refused(invoke("pack", source, source.with_name("o.onnx"), *options), *fragments)


def test_files_that_do_not_fit_are_refused(source: Path, packed: Path) -> None:
    with unchanged(source.parent):
        assert_refused(invoke("pack", source, source), "is the input file", "[GP604]")
        assert_refused(invoke("unpack", packed, packed), "is the input file", "[GP604]")
        assert_refused(invoke("pack", source, source.with_name("o.txt")), ".onnx", "[GP602]")
        assert_refused(invoke("pack", packed, source.with_name("o.onnx")), "stage packed", "[GP255]")
        assert_refused(invoke("unpack", source, source.with_name("o.onnx")), "stage dense", "[GP255]")


def replace(path: Path, name: str, array: np.ndarray) -> None:
    """Write another array into the file in place of an initializer."""
    model = onnx.load(path)
    (tensor,) = [each for each in model.graph.initializer if each.name == name]
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    path.write_bytes(model.SerializeToString())


def set_number(path: Path, name: str, number: int) -> None:
    """Write another attribute into the file's call."""
    model = onnx.load(path)
    (attribute,) = [each for each in model.graph.node[0].attribute if each.name == name]
    attribute.i = number
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("command", ["inspect", "unpack", "compile"])
@pytest.mark.parametrize(
    ("damage", "fragment"),
    [
        (lambda path: replace(path, "w_indices", np.zeros(144, np.uint8)), "places do not increase at line 0, slot 1"),
        (lambda path: replace(path, "w_indices", np.zeros(143, np.uint8)), "indices have shape [143], expected [144]"),
        (lambda path: replace(path, "w_values", np.zeros((144, 3), np.float32)), "expected [144, 4]"),
        (lambda path: set_number(path, "keep", 4), "groups keep 4 of 4"),
        (lambda path: set_number(path, "of", 6), "groups have 6 places"),
    ],
    ids=["indices", "short indices", "values", "keep", "of"],
)
def test_a_damaged_packed_file_is_refused(packed: Path, damage: object, fragment: str, command: str) -> None:
    assert callable(damage)
    damage(packed)
    outputs = {"inspect": [], "unpack": [packed.with_name("o.onnx")], "compile": [packed.with_name("o.so")]}[command]
    with unchanged(packed.parent):
        assert_refused(invoke(command, packed, *outputs), "packed-nm: node 'conv'", fragment, "[GP351]")
