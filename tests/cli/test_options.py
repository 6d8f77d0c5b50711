from pathlib import Path

import pytest

from graphprune.cli.options import check_output_path, parse_input_shapes
from graphprune.errors import GraphPruneError, InputError


def test_input_shapes_are_read() -> None:
    assert parse_input_shapes(["x:1x3x224x224", "ids:0:1x128,1x64", "n:7"]) == {
        "x": [(1, 3, 224, 224)],
        "ids:0": [(1, 128), (1, 64)],
        "n": [(7,)],
    }


def test_no_input_shape_is_fine() -> None:
    assert parse_input_shapes(None) == {}


@pytest.mark.parametrize("text", ["x", "x:", ":1x2", "x:1,", "x:1, 2", "x:0x3", "x:-1", "x:1x", "x:axb", ""])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not of the form name:1x3x224x224 \[GP601\]"):
        parse_input_shapes([text])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"input shape of 'x' is given twice \[GP601\]"):
        parse_input_shapes(["x:1", "x:2"])


def test_a_writable_output_passes(tmp_path: Path) -> None:
    source = tmp_path / "a.onnx"
    source.touch()
    check_output_path(tmp_path / "b.onnx", [".onnx"], source)


@pytest.mark.parametrize(
    ("name", "code"), [("b.txt", "GP602"), ("folder.onnx", "GP603"), ("no/b.onnx", "GP603"), ("a.onnx", "GP604")]
)
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, name: str, code: str) -> None:
    source = tmp_path / "a.onnx"
    source.touch()
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(GraphPruneError, match=rf"^output .*{name}.*\[{code}\]$"):
        check_output_path(tmp_path / name, [".onnx"], source)


def test_a_link_to_the_input_is_the_input(tmp_path: Path) -> None:
    source, link = tmp_path / "a.onnx", tmp_path / "b.onnx"
    source.touch()
    link.symlink_to(source)
    with pytest.raises(InputError, match=r"is the input file \[GP604\]"):
        check_output_path(link, [".onnx"], source)
