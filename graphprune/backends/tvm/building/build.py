"""From lowered programs to a compiled file: machine code, linked with the C part, and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tvm import ir

from graphprune.backends.tvm.building.image import lay_out, make_image
from graphprune.backends.tvm.building.linking import Code, link_library
from graphprune.backends.tvm.building.objects import compile_objects
from graphprune.backends.tvm.building.tables import ProgramSizes, write_tables
from graphprune.backends.tvm.program.entry import Entry
from graphprune.backends.tvm.program.recording import Kernels, Weights
from graphprune.targets.target import Target
from graphprune_runtime.description import Description, ProgramNote
from graphprune_runtime.file import CompiledFile


@dataclass(frozen=True)
class Built:
    """A compiled file, in memory, and what its code was linked from."""

    file: CompiledFile
    code: Code


@dataclass(frozen=True)
class Program:
    """A lowered program, and what is said of it."""

    entry: Entry
    note: ProgramNote


def build(
    programs: Sequence[Program],
    kernels: Kernels,
    weights: Weights,
    description: Description,
    target: Target,
    sources: Sequence[Path] = (),
) -> Built:
    """Compile and link `programs`, which call `kernels` on `weights`, and the C files `sources`.

    Raises:
        BackendError: TVM could not compile them, or they could not be linked.
    """
    symbols = [f"gp_program_{number}" for number in range(len(programs))]
    entries = {ir.GlobalVar(symbol): program.entry.function for symbol, program in zip(symbols, programs, strict=True)}
    objects = compile_objects({**kernels.functions, **entries}, target)
    workspace_bytes = max(each.workspace_bytes for each in objects)
    sizes = [
        ProgramSizes(symbol, program.entry.arena_bytes, workspace_bytes)
        for symbol, program in zip(symbols, programs, strict=True)
    ]
    data = lay_out(weights, description)
    code = Code(tuple(each.content for each in objects), write_tables(data, sizes), tuple(sources))
    return Built(make_image(link_library(code), data), code)
