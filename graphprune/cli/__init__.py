"""The command line: one file a command, each a thin face on the Python function of the same name."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 done, 1 a failed verification, 2 what the user can fix."""
    try:
        from graphprune.cli.app import app

        app()
    except KeyboardInterrupt:  # while importing; a command that is interrupted is handled in `errors`
        sys.stderr.write("error: interrupted\n")
        sys.exit(2)
