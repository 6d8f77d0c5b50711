"""How a command ends: one line on stderr, which is JSON under `--json`, and an exit code; never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from graphprune.cli.exit_codes import FAILED_VERIFICATION, INTERRUPTED, USER_ERROR
from graphprune.errors import GraphPruneError, InputError, ModelFileError, VerificationError

TRACEBACK_VARIABLE = "GRAPHPRUNE_TRACEBACK"
"""Set in the environment, it shows the traceback of every error."""


class _InterruptionError(Exception):
    """Ctrl-C, which typer would turn into an exit code of its own."""


class OneLineErrors(TyperGroup):
    """A command group that prints every error on one line: as `error: ...`, or as JSON where `--json` was given."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        """Run the command, and end it ourselves where typer would exit with a code of its own."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise _InterruptionError from None
        except BrokenPipeError:  # whoever read us has left; there is nobody to tell
            _drop_stdout()
            raise typer.Exit(USER_ERROR) from None
        return result

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> NoReturn:  # noqa: ANN401
        """Run and exit."""
        options["standalone_mode"] = False
        try:
            code = super().main(args, *others, **options)
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE):
                raise
            sys.exit(_report(error, as_json="--json" in (sys.argv if args is None else args)))
        sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception, *, as_json: bool) -> int:
    if isinstance(error, OSError):
        _drop_stdout()
    named = name_error(error)
    exit_code = _exit_code(error)
    described = {"code": named.code, "message": named.message, "exit_code": exit_code}
    line = f"error: {named}"
    sys.stderr.write((json.dumps({"error": described}) if as_json else line) + "\n")
    return exit_code


def _exit_code(error: Exception) -> int:
    if isinstance(error, _InterruptionError):
        return INTERRUPTED
    return FAILED_VERIFICATION if isinstance(error, VerificationError) else USER_ERROR


def name_error(error: Exception) -> GraphPruneError:
    """Return what ended a command as an error of ours: with a message for the user, and a code to look up."""
    if isinstance(error, GraphPruneError):
        return error
    if isinstance(error, _InterruptionError):
        return GraphPruneError("interrupted")
    if isinstance(error, typer.TyperException) and hasattr(error, "format_message"):
        message = str(error.format_message())
        return InputError(message[:1].lower() + message[1:], code="GP600")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return ModelFileError(f"{place}{error.strerror or error}", code="GP690")
    if isinstance(error, MemoryError):
        return GraphPruneError("out of memory", code="GP691")
    hint = f"set {TRACEBACK_VARIABLE}=1 for the traceback"
    return GraphPruneError(f"internal error: {type(error).__name__}: {error} ({hint})", code="GP692")


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, or the interpreter reports the same error again as it exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
