"""The command line: one file a command, each a thin face on the Python function of the same name.

Imports: analysis, backends, compiler, diagnostics, errors, files, frontends, graphprune, masked, masks, measuring,
native, packed, passes, planning, runtime, stages, targets, testing, verification.
"""

from __future__ import annotations

import os
import sys

from graphprune.cli.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed verification, 2 what the user can fix, 130 interrupted."""
    try:
        from graphprune.cli.app import app

        app()
    except KeyboardInterrupt:  # while importing; a command that is interrupted is handled in `errors`
        sys.stderr.write("error: interrupted\n")
        sys.exit(INTERRUPTED)
    except SystemExit:
        _close_stderr()
        raise


def _close_stderr() -> None:
    """Our last word is said: drop what native libraries print as the interpreter takes them down."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
