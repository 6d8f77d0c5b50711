"""Documents a user writes: YAML or JSON in, a checked pydantic model out, one line where something is wrong."""

from __future__ import annotations

import difflib
import json
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from graphprune.errors import RecipeError
from graphprune.files import atomic_write
from graphprune.planning import yaml_form

_YAML_SUFFIXES = frozenset({".yaml", ".yml"})
_JSON_SUFFIX = ".json"
_LONGEST_VALUE = 60
_SHOWN = reprlib.Repr()  # looks at the first few elements, a few levels down
_SHOWN.maxstring = _SHOWN.maxother = 1 << 16


class Document(BaseModel):
    """A pydantic model whose errors are one line and name the key.

    Raises:
        RecipeError: A key is unknown or missing, or a value is not what its key takes (GP320).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **data: Any) -> None:  # noqa: ANN401 - pydantic checks the values
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise RecipeError(_one_line(type(self), data, error), code="GP320") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a `.yaml`, `.yml` or `.json` file.

        Raises:
            RecipeError: It cannot be read, is neither YAML nor JSON, or its content is wrong (GP320).
        """
        source = Path(path)
        data = _read(source)
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise RecipeError(f"'{source}' holds no keys with values, expected those of a {_noun(cls)}", code="GP320")
        try:
            return cls(**data)
        except RecipeError as error:
            raise RecipeError(f"'{source}': {error.message}", code=error.code) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.yaml`, `.yml` or `.json` file, atomically.

        Raises:
            RecipeError: The name ends otherwise (GP320).
            ModelFileError: The file cannot be written (GP106).
        """
        target = Path(path)
        text = self.to_json() if _suffix(target) == _JSON_SUFFIX else self.to_yaml()
        with atomic_write(target) as file:
            file.write(text.encode())

    def to_json(self) -> str:
        """Return the text of a JSON file."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"

    def to_yaml(self) -> str:
        """Return the text of a YAML file."""
        data = self.model_dump(mode="json", exclude_none=True)
        return yaml_form.dump(data)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean '...'` for a misspelt word, or nothing where no known one is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean '{close[0]}'" if close else ""


def _read(source: Path) -> object:
    suffix = _suffix(source)
    try:
        text = source.read_text(encoding="utf-8")
        return json.loads(text) if suffix == _JSON_SUFFIX else yaml_form.load(text)
    except OSError as error:
        raise RecipeError(f"cannot read '{source}': {error.strerror}", code="GP320") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"'{source}' is not {suffix[1:].upper()}: {reason}", code="GP320") from None


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix != _JSON_SUFFIX and suffix not in _YAML_SUFFIXES:
        raise RecipeError(f"'{path}': expected a name ending in .yaml, .yml or .json", code="GP320")
    return suffix


def _one_line(kind: type[BaseModel], data: dict[str, Any], error: ValidationError) -> str:
    """The first thing that is wrong, said with the key and the value."""
    first = error.errors(include_url=False)[0]
    who = _noun(kind) + (f" '{data['name']}'" if "name" in data else "")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        return f"{who}: unknown key '{key}'{suggestion(key, kind.model_fields)}"
    if first["type"] == "missing":
        return f"{who}: key '{key}' is missing"
    return f"{who}: {key}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {_short(first['input'])}"


def _short(value: object) -> str:
    text = _SHOWN.repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _noun(kind: type[BaseModel]) -> str:
    """`PruningPlan` is called 'pruning plan' in messages."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip()
