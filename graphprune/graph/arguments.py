"""What public functions say to an argument of a wrong type: what they take, and how to get it from what was given."""

from __future__ import annotations

import os

import onnx_ir as ir

from graphprune.errors import InputError

_READ = "read it with graphprune.load(path)"
_MODEL_HINTS = {
    "ModelProto": "make one with onnx_ir.from_proto, or write it to a file and " + _READ,
    "ExportedProgram": "convert it with graphprune.from_torch(program)",
    "Module": "convert it with graphprune.from_torch(module, example_inputs)",
}
"""By the name of the type, or of one that it derives from: those of other packages are not imported to be named."""


def check_model(function: str, given: object) -> None:
    """Refuse what is not a model.

    Args:
        function: The public name of who asks.
        given: What the caller gave as model.

    Raises:
        InputError: It is not an `onnx_ir.Model` (GP536).
    """
    if isinstance(given, ir.Model):
        return
    names = [kind.__name__ for kind in type(given).__mro__]
    hint = _READ if is_path(given) else next((_MODEL_HINTS[name] for name in names if name in _MODEL_HINTS), _READ)
    raise wrong_type(function, "model", given, "an onnx_ir.Model", hint)


def is_path(given: object) -> bool:
    """Return whether `given` is what Python takes for the name of a file."""
    return isinstance(given, (str, os.PathLike))


def wrong_type(function: str, name: str, given: object, expected: str, hint: str) -> InputError:
    """Return the error for the argument `name` of a public function (GP536)."""
    found = f"the path '{os.fspath(given)}'" if isinstance(given, (str, os.PathLike)) else f"a {type(given).__name__}"
    return InputError(f"{function}: {name} is {found}, expected {expected}; {hint}", code="GP536")
