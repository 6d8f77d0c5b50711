"""All passes by name, and reading one from its text form."""

from __future__ import annotations

from difflib import get_close_matches

import graphprune.passes  # noqa: F401 - importing the package registers the passes it exports
from graphprune.errors import InputError
from graphprune.passes.base import REGISTRY, Pass
from graphprune.passes.text_form import read_form


def registered_passes() -> dict[str, type[Pass]]:
    """Return the known passes by name."""
    return dict(REGISTRY)


def read_pass(text: str, start: int = 0) -> tuple[Pass, int]:
    """Read one pass at `start` of `text`; return it and where its text ends.

    Raises:
        InputError: The text is not a pass (GP241), or no pass has that name (GP242), or an option is wrong (GP243).
    """
    name, options, end = read_form(text, start)
    known = registered_passes()
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f", did you mean '{close[0]}'" if close else ""
        raise InputError(f"no pass is named '{name}'{hint}; there are {', '.join(sorted(known))}", code="GP242")
    return known[name].from_options(options), end


def parse_pass(text: str) -> Pass:
    """Return the pass whose text form is `text`, e.g. `fold-channels{min_kept=8}`.

    Raises:
        InputError: The text is not a pass (GP241), or no pass has that name (GP242), or an option is wrong (GP243).
    """
    found, end = read_pass(text)
    if end != len(text):
        raise InputError(f"pass text {text!r}: expected the end at position {end}", code="GP241")
    return found
