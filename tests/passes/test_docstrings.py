"""What the docstring of a pass shows is what the pass does, and what it refuses is documented."""

import inspect
import re
import sys
from pathlib import Path

import onnx_ir as ir
import pytest

from graphprune.passes.base import Pass
from graphprune.passes.registry import parse_pass, registered_passes
from graphprune.passes.remove_identities import RemoveIdentities
from graphprune.testing.check_pass import check_pass
from graphprune.testing.examples import docstring_example

PASSES = [kind for kind in registered_passes().values() if kind.__module__.startswith("graphprune.")]
ERRORS = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
def test_the_example_is_what_the_pass_does(kind: type[Pass]) -> None:
    example = docstring_example(kind)
    reference = None if example.reference is None else ir.from_onnx_text(example.reference)
    assert check_pass(example.pass_, example.before, example.after, reference=reference).changed
    assert parse_pass(str(example.pass_)) == example.pass_


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
def test_every_code_that_a_pass_refuses_with_is_named_in_its_docstring(kind: type[Pass]) -> None:
    code = inspect.getsource(sys.modules[kind.__module__]).replace(kind.__doc__ or "", "")
    used = set(re.findall(r'"(GP\d{3})"', code))
    named = set(re.findall(r"GP\d{3}", inspect.getdoc(kind) or ""))
    assert used - named == set()


@pytest.mark.parametrize("kind", PASSES, ids=lambda kind: kind.name)
def test_every_code_in_a_docstring_has_its_section(kind: type[Pass]) -> None:
    sections = set(re.findall(r"^### (GP\d{3})", ERRORS.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"GP\d{3}", inspect.getdoc(kind) or "")) - sections == set()


def test_a_docstring_without_an_example_is_refused() -> None:
    with pytest.raises(ValueError, match="the docstring of Pass has no block 'Before::'"):
        docstring_example(type("Pass", (RemoveIdentities,), {"__doc__": "Nothing.", "__module__": "x"}))
