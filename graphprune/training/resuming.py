"""Whether a run may go on from a state: only with the recipe that the state is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphprune.errors import RecipeError

_LONGEST = 40  # of a value in a message


def verify_same(own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Refuse a pruner's state that was saved with another recipe, or with another plan that was given.

    Args:
        own: The state of the pruner that is to go on.
        saved: The state that it is given.

    Raises:
        RecipeError: They differ, or `saved` does not say (GP720).
    """
    for part in ("recipe", "given", "budgets"):
        if part not in saved:
            message = f"the state of the pruner does not say its {part}: it is of an older version"
            raise RecipeError(message, code="GP720")
    for part, what in (("recipe", "recipe"), ("given", "plan")):
        difference = next(_differences("", own[part], saved[part]), None)
        if difference is not None:
            advice = "prepare the module with that of the state"
            raise RecipeError(f"the state was saved with another {what}: {difference}; {advice}", code="GP720")


def _differences(path: str, own: object, saved: object) -> Iterator[str]:
    if isinstance(own, Mapping) and isinstance(saved, Mapping):
        for key in dict.fromkeys((*own, *saved)):
            yield from _differences(f"{path}.{key}" if path else str(key), own.get(key), saved.get(key))
    elif own != saved:
        yield f"{path} is {_short(saved)} there, {_short(own)} here"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
