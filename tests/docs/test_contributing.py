"""CONTRIBUTING.md names functions that exist, and files that are there."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALKS = TEXT[TEXT.index("## Four walks") : TEXT.index("## How to write a pass")]
NAMES = sorted(set(re.findall(r"`((?:\w+\.)+\w+)`", WALKS)))
PATHS = sorted(set(re.findall(r"[`(]((?:graphprune|docs|tests|benchmarks)/[\w/.]+\.\w+)", TEXT)))


def test_there_are_four_walks_of_several_stations() -> None:
    walks = WALKS.split("\n### ")[1:]
    assert len(walks) == 4
    assert all(len(re.findall(r"^\d+\. ", walk, re.MULTILINE)) >= 6 for walk in walks)
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_a_walk_goes_through_what_exists(name: str) -> None:
    found = resolve_name(name if name.startswith("graphprune_runtime.") else f"graphprune.{name}")
    assert callable(found) or isinstance(found, dict | tuple)  # a function, a class or a table


def test_a_name_that_is_gone_is_noticed() -> None:
    with pytest.raises(AttributeError):
        resolve_name("graphprune.compiler.compile.compiled")


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:`|\()((?:graphprune|docs|tests|benchmarks)/[\w/.]+\.\w+)", TEXT)))
)
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).is_file()
