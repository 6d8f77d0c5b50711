"""`graphprune explain`: what an error code means, from `docs/errors.md`, which is shipped with the package."""

from __future__ import annotations

import re
from importlib import resources
from typing import Annotated

import typer

from graphprune.cli.output import print_line
from graphprune.errors import InputError


def explain_command(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code at the end of a message, such as GP112.")],
) -> None:
    """Print what an error code means, and what to do about it."""
    print_line(explanation(code))


def explanation(code: str) -> str:
    """Return the section of an error code; `code` may be in lower case, in brackets or without `GP`.

    Raises:
        InputError: no error has that code.
    """
    digits = re.fullmatch(r"\[?(?:GP)?(\d{3})\]?", code.strip(), re.IGNORECASE)
    found = _sections().get(f"GP{digits[1]}") if digits else None
    if found is None:
        raise InputError(f"no error has the code {code!r}, expected one such as GP101", code="GP613")
    return found


def _sections() -> dict[str, str]:
    """The text of each code, its heading without the marks of Markdown."""
    text = resources.files("graphprune.cli").joinpath("errors.md").read_text(encoding="utf-8")
    parts = re.split(r"^#{2,3} ", text, flags=re.MULTILINE)
    return {part[:5]: part.strip() for part in parts if re.match(r"GP\d{3}\b", part)}
