"""The command line: one file a command, each a thin face on the Python function of the same name.

Imports: allocation, analysis, backends, calibration, compiler, diagnostics, errors, files, frontends, graph,
graphprune, masked, masks, measuring, native, optimization, packed, passes, planning, reporting, runtime, stages,
targets, testing, verification.
"""

from __future__ import annotations

import os
import sys

from graphprune.cli.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed verification, 2 what the user can fix, 130 interrupted."""
    _open_standard_streams()
    try:
        from graphprune.cli.app import app

        app()
    except KeyboardInterrupt:  # while importing; a command that is interrupted is handled in `errors`
        sys.stderr.write("error: interrupted\n")
        sys.exit(INTERRUPTED)
    except SystemExit:
        _close_stderr()
        raise


def _open_standard_streams() -> None:
    """Let a daemon that closed them go on: what is printed is dropped, and no other file takes their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error's
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end


def _close_stderr() -> None:
    """Our last word is said: drop what native libraries print as the interpreter takes them down."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
