"""Every error that graphprune raises on purpose, under one root.

The messages are one line, name the thing that is wrong, and end with a code; `docs/errors.md` has a section a code.
"""

from __future__ import annotations


class GraphPruneError(Exception):
    """The root of all errors of this package.

    Args:
        message: One line, lower-case start, no final period: the node or file, and both numbers where two disagree.
        code: The `GPxxx` code documented in `docs/errors.md`.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.code)


class ModelFileError(GraphPruneError):
    """A file that cannot be read or written, or external data that is missing or outside the model's folder."""


class UnsupportedModelError(GraphPruneError):
    """A model that is readable but ill-formed, or that uses what graphprune does not handle."""


class InputError(GraphPruneError):
    """A wrong feed, option value or argument."""


class RecipeError(GraphPruneError):
    """A recipe or plan that is misspelt, out of range, or matches nothing in the model."""


class PassError(GraphPruneError):
    """A pass that could not do its work."""


class PreconditionError(PassError):
    """The pass was given what it does not accept; the user can act."""


class PostconditionError(PassError):
    """The pass broke its own contract: a defect in graphprune (or in the user's own pass)."""


class VerificationError(GraphPruneError):
    """Two models that should be the same function are not."""


class BackendError(GraphPruneError):
    """A backend that cannot lower, build, store or run a model."""


def torch_is_missing(error: ImportError) -> GraphPruneError:
    """Return the error for what needs torch where it is not installed."""
    return GraphPruneError(f"torch is needed for this ({error}): pip install 'graphprune[train]'", code="GP122")


def _rebuild(kind: type[GraphPruneError], message: str, code: str | None) -> GraphPruneError:
    """Restore an error that crossed a process boundary, with its code."""
    return kind(message, code=code)
