"""The errors that loading and running raise on purpose, under the root of all of graphprune's.

The messages are one line, name the thing that is wrong, and end with a code; `docs/errors.md` has a section a code.
"""

from __future__ import annotations

LONGEST = 300
"""Characters of an error on the command line, with what stands before and after its message."""

_AROUND = len("error:  [GPxxx]")


def one_line(text: str) -> str:
    """The text on one line of an error: without line breaks and other characters that a terminal acts on, and cut."""
    shown = text if text.isprintable() else " ".join("".join(c if c.isprintable() else " " for c in text).split())
    most = LONGEST - _AROUND
    return shown if len(shown) <= most else shown[: most - 3] + "..."


class GraphPruneError(Exception):
    """The root of all errors of graphprune.

    Args:
        message: One line, lower-case start, no final period: the node or file, and both numbers where two disagree.
        code: The `GPxxx` code documented in `docs/errors.md`.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.message = one_line(message)
        super().__init__(self.message)
        self.code = code

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.code)


class ModelFileError(GraphPruneError):
    """A file that cannot be read or written, or external data that is missing or outside the model's folder."""


class InputError(GraphPruneError):
    """A wrong feed, option value or argument."""


class BackendError(GraphPruneError):
    """A backend that cannot lower, build, store or run a model."""


def _rebuild(kind: type[GraphPruneError], message: str, code: str | None) -> GraphPruneError:
    """Restore an error that crossed a process boundary, with its code."""
    return kind(message, code=code)
