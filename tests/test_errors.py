"""The errors: text form, code, one root."""

import pickle

import pytest

from graphprune import errors
from graphprune.errors import GraphPruneError, PassError


def test_the_code_ends_the_message() -> None:
    assert str(GraphPruneError("weight has 60 channels, expected 64", code="GP204")) == (
        "weight has 60 channels, expected 64 [GP204]"
    )


def test_without_a_code_the_message_stands_alone() -> None:
    error = GraphPruneError("no such file")
    assert str(error) == "no such file"
    assert error.code is None


def test_an_error_keeps_its_code_across_processes() -> None:
    error = pickle.loads(pickle.dumps(PassError("m", code="GP299")))  # noqa: S301 - our own bytes, made one line above
    assert (type(error), str(error)) == (PassError, "m [GP299]")


@pytest.mark.parametrize("name", [name for name in vars(errors) if name.endswith("Error")])
def test_every_error_has_the_root(name: str) -> None:
    assert issubclass(getattr(errors, name), GraphPruneError)


def test_a_long_message_is_cut_so_that_its_line_has_300_characters() -> None:
    error = GraphPruneError("x" * 1000, code="GP299")
    assert len(f"error: {error}") == 300
    assert str(error).endswith("x... [GP299]")


def test_line_breaks_and_what_terminals_act_on_are_left_out() -> None:
    assert str(GraphPruneError("node 'a\nb' \x1b[31m(Conv)")) == "node 'a b' [31m(Conv)"


def test_spaces_in_a_name_stay() -> None:
    assert str(GraphPruneError("cannot read 'a  b.onnx'")) == "cannot read 'a  b.onnx'"
