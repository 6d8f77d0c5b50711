"""docs/cli.md has every command with exactly its options."""

import re
from pathlib import Path

import pytest
import typer.main

from graphprune.cli.app import app

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].strip(): part for part in parts}


def options(command: str) -> set[str]:
    group = typer.main.get_command(app)
    parameters = group.commands[command].params  # type: ignore[attr-defined] # a group has commands
    return {name for parameter in parameters for name in parameter.opts if name.startswith("--")}


def test_every_command_has_a_section() -> None:
    group = typer.main.get_command(app)
    assert list(sections()) == list(group.commands)  # type: ignore[attr-defined] # a group has commands


@pytest.mark.parametrize("command", sections())
def test_a_section_lists_exactly_the_options(command: str) -> None:
    assert set(re.findall(r"^\| `(--[a-z-]+)`", sections()[command], re.MULTILINE)) == options(command)


@pytest.mark.parametrize("command", sections())
def test_a_section_shows_the_command(command: str) -> None:
    assert f"    graphprune {command}" in sections()[command]
