"""Every error that graphprune raises on purpose, under one root.

The messages are one line, name the thing that is wrong, and end with a code; `docs/errors.md` has a section a code.
"""

from __future__ import annotations

from graphprune_runtime.errors import BackendError, GraphPruneError, InputError, ModelFileError

__all__ = [
    "BackendError",
    "GraphPruneError",
    "InputError",
    "ModelFileError",
    "PassError",
    "PostconditionError",
    "PreconditionError",
    "RecipeError",
    "UnsupportedModelError",
    "VerificationError",
    "torch_is_missing",
]


class UnsupportedModelError(GraphPruneError):
    """A model that is readable but ill-formed, or that uses what graphprune does not handle."""


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


def torch_is_missing(error: ImportError) -> GraphPruneError:
    """Return the error for what needs torch where it is not installed."""
    return GraphPruneError(f"torch is needed for this ({error}): pip install 'graphprune[train]'", code="GP122")
