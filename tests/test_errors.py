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
