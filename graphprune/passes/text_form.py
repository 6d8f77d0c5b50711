"""The text form of passes: `name` or `name{option=value other="a b"}`, both ways.

A value is JSON without spaces outside of strings; a string that is one plain word is written bare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from graphprune.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_KEY = re.compile(r"([a-z_][a-z0-9_]*)=")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*")
_JSON_WORDS = frozenset({"true", "false", "null", "NaN", "Infinity"})


def write_form(name: str, options: Mapping[str, Any]) -> str:
    """Return `name{key=value ...}`, or `name` where there are no options."""
    if not options:
        return name
    return name + "{" + " ".join(f"{key}={_write_value(value)}" for key, value in options.items()) + "}"


def read_form(text: str, start: int = 0) -> tuple[str, dict[str, Any], int]:
    """Read one pass at `start`.

    Returns:
        The name, its options as JSON values, and where the form ends.

    Raises:
        InputError: The text is not a pass (GP241).
    """
    name = _NAME.match(text, start)
    if name is None:
        raise _bad_text(text, start, "a pass name")
    end = name.end()
    options: dict[str, Any] = {}
    if text[end : end + 1] != "{":
        return name.group(), options, end
    end += 1
    while text[end : end + 1] != "}":
        key = _KEY.match(text, end)
        if key is None or key.group(1) in options:
            raise _bad_text(text, end, "a new option=value or a closing brace")
        options[key.group(1)], end = _read_value(text, key.end())
        if text[end : end + 1] == " ":
            end += 1
        elif text[end : end + 1] != "}":
            raise _bad_text(text, end, "a space or a closing brace")
    return name.group(), options, end + 1


def _write_value(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value) and value not in _JSON_WORDS:
        return value
    return json.dumps(value, separators=(",", ":"))


def _read_value(text: str, start: int) -> tuple[Any, int]:
    word = _WORD.match(text, start)
    if word is not None and word.group() not in _JSON_WORDS:
        return word.group(), word.end()
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError:
        raise _bad_text(text, start, "a value") from None
    return value, end


def _bad_text(text: str, position: int, expected: str) -> InputError:
    return InputError(f"pass text {text!r}: expected {expected} at position {position}", code="GP241")
