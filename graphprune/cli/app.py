"""The command-line application: its commands and its global options."""

from __future__ import annotations

from typing import Annotated

import typer

from graphprune import __version__
from graphprune.cli.bench import bench_command
from graphprune.cli.compile import compile_command
from graphprune.cli.demo import demo_command
from graphprune.cli.errors import OneLineErrors
from graphprune.cli.explain import explain_command
from graphprune.cli.fold import fold_command
from graphprune.cli.harden import harden_command
from graphprune.cli.include import include_command
from graphprune.cli.inspect import inspect_command
from graphprune.cli.mask import mask_command
from graphprune.cli.optimize import optimize_command
from graphprune.cli.output import print_line
from graphprune.cli.pack import pack_command
from graphprune.cli.prune import prune_command
from graphprune.cli.quantize import quantize_command
from graphprune.cli.recipe_schema import recipe_schema_command
from graphprune.cli.report import report_command
from graphprune.cli.run import run_command
from graphprune.cli.targets import targets_command
from graphprune.cli.unpack import unpack_command
from graphprune.cli.verify import verify_command

app = typer.Typer(
    name="graphprune",
    cls=OneLineErrors,
    help="Prune, compile, verify and benchmark neural networks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print_line(f"graphprune {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Prune, compile, verify and benchmark neural networks."""


app.command("inspect")(inspect_command)
app.command("prune")(prune_command)
app.command("optimize")(optimize_command)
app.command("fold")(fold_command)
app.command("quantize")(quantize_command)
app.command("mask")(mask_command)
app.command("harden")(harden_command)
app.command("pack")(pack_command)
app.command("unpack")(unpack_command)
app.command("compile")(compile_command)
app.command("run")(run_command)
app.command("verify")(verify_command)
app.command("bench")(bench_command)
app.command("report")(report_command)
app.command("targets")(targets_command)
app.command("include")(include_command)
app.command("recipe-schema")(recipe_schema_command)
app.command("explain")(explain_command)
app.command("demo")(demo_command)
