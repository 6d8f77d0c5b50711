"""The C text of a model's tables, `program.h` in values: its programs, their tensors, and the ranges of its offsets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.building.image import Data
from graphprune.backends.tvm.program.recording import Array, Weights
from graphprune_runtime.description import Description, ProgramNote
from graphprune_runtime.interface import TensorInfo


@dataclass(frozen=True)
class ProgramSizes:
    """What the tables say of a program beyond its description: the bytes that it works in."""

    symbol: str
    arena_bytes: int
    workspace_bytes: int


def write_tables(data: Data, sizes: Sequence[ProgramSizes]) -> str:
    """The C text that defines the model, which is called as the macro GP_SYMBOL says."""
    description = data.description
    ranges = list(_ranges(data.weights))
    parts = ['#include "program.h"', *_features(description)]
    for number, (program, size) in enumerate(zip(description.linked, sizes, strict=True)):
        parts += _tensors(f"inputs_{number}", program.inputs)
        parts += _tensors(f"outputs_{number}", program.outputs)
        split = ", ".join(str(int(_is_split(program, info))) for info in program.inputs) or "0"
        parts.append(f"static const uint8_t split_{number}[] = {{{split}}};")
        parts.append(f"extern gp_program_function {size.symbol};")
    rows = (_program(number, program, sizes[number]) for number, program in enumerate(description.linked))
    parts += ["static const gp_program programs[] = {", *rows, "};"]
    parts += ["static const gp_range ranges[] = {", *(ranges or ["{0}"]), "};"]
    hosted = sum(len(piece.nodes) for piece in description.hosted)
    parts.append(
        f"const gp_linked GP_SYMBOL = {{GP_FORMAT, {data.checksum}u, {data.weights_bytes}u, "
        f"{len(data.text)}u, {json.dumps(description.target)}, features, "
        f"{len(sizes)}, {len(ranges)}, {hosted}, programs, ranges, gp_linked_data}};"
    )
    parts.append("static const gp_linked *const listed GP_LISTED = &GP_SYMBOL;")
    return "\n".join([*parts, ""])


def _features(description: Description) -> list[str]:
    names = ", ".join([*map(json.dumps, description.features), "0"])
    return [f"static const char *const features[] = {{{names}}};"]


def _program(number: int, program: ProgramNote, size: ProgramSizes) -> str:
    samples = program.batch.samples or 0
    sizes = f"{samples}, {size.arena_bytes}u, {size.workspace_bytes}u, {len(program.calls)}"
    sizes += f", {len(program.inputs)}, {len(program.outputs)}"
    return f"    {{{size.symbol}, {sizes}, inputs_{number}, outputs_{number}, split_{number}}},"


def _tensors(name: str, infos: Sequence[TensorInfo]) -> Iterator[str]:
    rows = []
    for number, info in enumerate(infos):
        extents = ", ".join(str(dim) if isinstance(dim, int) else "GP_SAMPLES" for dim in info.shape) or "0"
        yield f"static const int64_t {name}_{number}[] = {{{extents}}};"
        code = int(ir.DataType.from_numpy(info.dtype))
        rows.append(f"    {{{_text(info.name)}, {code}, {len(info.shape)}, {name}_{number}, {_nbytes(info)}u}},")
    yield "\n".join([f"static const gp_tensor {name}[] = {{", *(rows or ["    {0}"]), "};"])


def _nbytes(info: TensorInfo) -> int:
    fixed = [dim for dim in info.shape if isinstance(dim, int)]
    return int(np.prod(fixed, dtype=np.int64)) * info.dtype.itemsize


def _is_split(program: ProgramNote, info: TensorInfo) -> bool:
    """Whether each sample has a part of an input: its first extent is the number of samples."""
    samples = program.batch.samples
    if samples is None:
        return bool(info.shape) and not isinstance(info.shape[0], int)
    return samples > 1 and info.shape[:1] == (samples,)


def _text(text: str) -> str:
    """A C literal; octal escapes end by themselves."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'


def _ranges(weights: Weights) -> Iterator[str]:
    for offset, array in zip(weights.offsets(), weights.arrays, strict=True):
        if array.dtype.kind in "iu" and array.size and _may_be_offsets(array):
            signed = int(array.dtype.kind == "i")
            sizes = f"{offset}u, {array.size}u, {array.itemsize}, {signed}"
            yield f"    {{{sizes}, {array.min()}, {array.max()}}},"


def _may_be_offsets(array: Array) -> bool:
    """Whether all numbers are C literals of an int64: offsets are far below."""
    return int(array.min()) > -(2**63) and int(array.max()) < 2**63
