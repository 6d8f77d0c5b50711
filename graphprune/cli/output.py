"""What commands print: tables or JSON on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_PIPED_WIDTH = 160


def print_json(data: object) -> None:
    """Print `data` as JSON."""
    sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")


def print_line(text: str) -> None:
    """Print one line, without markup."""
    sys.stdout.write(printable(text) + "\n")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; columns that start with `>` are aligned to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        table.add_row(*(_escape(cell) for cell in row))
    _StdoutConsole(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)


def printable(text: str) -> str:
    """Return `text` with what would steer a terminal written out: names in files are anybody's."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _escape(cell: object) -> str:
    return printable(str(cell)).replace("[", r"\[")  # names and shapes are no markup


class _StdoutConsole(Console):
    """Leaves it to `errors` how a command ends whose reader has left; rich would exit on the spot."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


@contextlib.contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[..., Any]]:
    """Show a bar on stderr while the block runs, if that is a terminal; yields a setter of what is done (, of what)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done, of=None: bar.update(task, completed=done, total=of)
