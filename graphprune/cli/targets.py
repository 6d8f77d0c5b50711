"""`graphprune targets`: the processors that models are compiled for."""

from __future__ import annotations

from dataclasses import asdict

from graphprune.cli.options import Json
from graphprune.cli.output import print_json, print_table
from graphprune.errors import BackendError
from graphprune.targets.target import TARGETS, Target, resolve_target


def targets_command(*, json: Json = False) -> None:
    """List the processors that models are compiled for."""
    targets = [*_native(), *TARGETS.values()]
    if json:
        print_json([asdict(target) for target in targets])
        return
    columns = ("target", "mcpu", ">vector", ">registers", ">L1d", ">L2", ">L3", "features")
    print_table("targets", columns, (_row(target) for target in targets))


def _native() -> list[Target]:
    try:
        return [resolve_target("native")]
    except BackendError:  # this machine is none of them, but can compile for them
        return []


def _row(target: Target) -> tuple[object, ...]:
    caches = (f"{size >> 10} KiB" for size in (target.l1d_bytes, target.l2_bytes, target.l3_bytes))
    features = " ".join(target.features)
    return (target.name, target.mcpu, f"{target.vector_bits} bit", target.vector_registers, *caches, features)
