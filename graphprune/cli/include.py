"""`graphprune include`: where the C header is."""

from __future__ import annotations

from graphprune.cli.output import print_line


def include_command() -> None:
    """Print the folder of `graphprune.h`, for C compilers: `cc -I"$(graphprune include)" main.c model.a`."""
    from graphprune.native import get_include

    print_line(get_include())
