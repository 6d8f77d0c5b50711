"""Options of whole channels, for commands that prune them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphprune.errors import InputError

TargetMacs = Annotated[
    float | None,
    typer.Option(help="Share of all multiply-accumulates to remove, with --pattern channel; instead of --sparsity."),
]
TargetParameters = Annotated[
    float | None, typer.Option(help="Share of all parameters to remove, with --pattern channel; instead of --sparsity.")
]
RoundTo = Annotated[
    str | None,
    typer.Option(metavar="N|TARGET", help="Keep a multiple of so many channels; `native`: of this machine's vectors."),
]
MinKept = Annotated[int | None, typer.Option(help="How many channels of a group stay at least.")]
Fold = Annotated[
    bool | None,
    typer.Option("--fold/--no-fold", help="Take pruned channels out of the graph [default: with --pattern channel]."),
]


def share_of(
    sparsity: float | None, target_macs: float | None, target_parameters: float | None
) -> tuple[float | None, dict[str, Any]]:
    """Return the one share that is given, and what it is a share of, as an option of channels.

    Raises:
        InputError: Several are given (GP608).
    """
    every = {"--sparsity": sparsity, "--target-macs": target_macs, "--target-parameters": target_parameters}
    given = [name for name, value in every.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are given, expected one of them", code="GP608")
    if target_macs is not None:
        return target_macs, {"share_of": "macs"}
    if target_parameters is not None:
        return target_parameters, {"share_of": "parameters"}
    return sparsity, {}


def channel_choice(round_to: str | None, min_kept: int | None) -> dict[str, Any]:
    """Return the options of channels that are given, under the names of `ChannelOptions`.

    Raises:
        InputError: `round_to` is neither a number nor a target (GP493, GP494).
    """
    every = {"round_to": _lanes(round_to), "min_kept": min_kept}
    return {name: value for name, value in every.items() if value is not None}


def _lanes(text: str | None) -> int | None:
    from graphprune.targets.target import resolve_target

    if text is None or text.isdecimal():
        return None if text is None else int(text)
    return resolve_target(text).vector_lanes
