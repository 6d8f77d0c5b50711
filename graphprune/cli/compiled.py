"""What a compiled file is, for `inspect`: read from its description, none of its code is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphprune.cli.fallback import described_pieces
from graphprune.cli.output import print_line, print_table
from graphprune_runtime.description import HOST

if TYPE_CHECKING:
    from graphprune_runtime.description import ProgramNote


def describe_compiled(path: Path) -> dict[str, Any]:
    """Everything that the command prints of a compiled file, as plain data.

    Raises:
        BackendError: it is none, or damaged.
    """
    from graphprune_runtime.file import CompiledFile

    with path.open("rb") as file:
        compiled = CompiledFile.read(file, f"'{path}'")
    described, footer = compiled.description, compiled.footer
    return {
        "stage": "compiled",
        "format": footer.format,
        "target": described.target,
        "features": list(described.features),
        "threads": described.threads,
        "origin": {**described.origin._asdict(), "sparsity": described.origin.sparsity},
        "code_bytes": footer.code_bytes,
        "weight_bytes": footer.weights_bytes,
        "checksum": f"{footer.checksum:016x}",
        "inputs": [str(info) for info in described.inputs],
        "outputs": [str(info) for info in described.outputs],
        "programs": [_program(program) for program in described.programs],
    }


def _program(program: ProgramNote) -> dict[str, Any]:
    return {
        "inputs": [str(info) for info in program.inputs],
        "batch": program.batch._asdict(),
        "kernels": [note._asdict() for note in program.kernels],
        "calls": len(program.calls),
        "pieces": described_pieces(program),
    }


def print_compiled(summary: dict[str, Any]) -> None:
    """Print what `describe_compiled` found."""
    origin = summary["origin"]
    what = f"compiled for {summary['target']}, {summary['threads']} thread(s), format {summary['format']}"
    print_line(f"{summary['file']}: {what}")
    print_line(f"made by {origin['tool']} with TVM {origin['tvm']}, {origin['date']}")
    print_line(f"from model {origin['model']!r}, fingerprint {origin['fingerprint'][:16]}")
    print_line(
        f"{origin['parameters']:,} prunable parameters, {origin['sparsity']:.1%} of them zero; "
        f"{summary['weight_bytes'] / 1e6:,.1f} MB of weights, {summary['code_bytes'] / 1e6:,.1f} MB of code"
    )
    print_line(f"needs {', '.join(summary['features'])}")
    for key in ("inputs", "outputs"):
        for info in summary[key]:
            print_line(f"{key[:-1]} {info}")
    rows = ((", ".join(each["inputs"]), _batch(each["batch"]), each["calls"]) for each in summary["programs"])
    print_table("programs", ("for", "batch", ">kernel calls"), rows)
    kernels = ((note["node"], note["kernel"], note["why"]) for note in summary["programs"][0]["kernels"])
    print_table("weights", ("node", "kernel", "why"), kernels)
    hosted = [piece for each in summary["programs"] for piece in each["pieces"] if piece["runs_on"] == HOST]
    rows = ((node["node"], node["operator"], node["why"]) for piece in hosted for node in piece["nodes"])
    if hosted:
        print_table("on ONNX Runtime, which must be installed", ("node", "operator", "why"), rows)


def _batch(batch: dict[str, Any]) -> str:
    if batch["samples"] is None:
        return "any number of samples"
    return "at once" if batch["samples"] == 1 else f"{batch['samples']} samples, one after another"
