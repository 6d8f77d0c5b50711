"""What is needed to make and look at candidates."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from graphprune.calibration.ranges import Feed
from graphprune.optimization.measured import Bench, Candidate
from graphprune.optimization.workspace import Workspace
from graphprune.reporting.report import CandidateReport


@dataclass(frozen=True)
class Commands:
    """What files are called where commands are written down.

    Attributes:
        source: The dense model.
        folder: Where the candidates are.
        data: The samples.
        run: The command that makes the report again.
    """

    source: str = "dense.onnx"
    folder: str = "."
    data: str = "samples.npz"
    run: str = "graphprune.optimize(...)"

    def file(self, name: str) -> str:
        """Return what a file of a candidate is called in a command, without its ending."""
        return shlex.quote(str(Path(self.folder) / name))

    def samples(self, count: int) -> str:
        """Return the options that take the samples."""
        return f"--calibration {self.data} --samples {count}"

    def compiled(self, name: str, target: str) -> str:
        """Return the command that compiles a candidate."""
        return f"graphprune compile {self.file(name)}.onnx {self.file(name)}.so --target {target}"


@dataclass(frozen=True)
class Search:
    """What is needed to make and look at candidates.

    Attributes:
        model: The dense model.
        commands: What files are called.
        feeds: Samples to prune by.
        bench: Where candidates are looked at.
        work: Where finished ones lie.
        say: Called with what is being done.
    """

    model: ir.Model
    commands: Commands
    feeds: Sequence[Feed]
    bench: Bench
    work: Workspace
    say: Callable[[str], None]

    def finished(self, name: str, make: Callable[[], Candidate]) -> CandidateReport:
        """Return what is known of a candidate whose files are called so: of an earlier run, or made and looked at."""
        files = [self.bench.folder / f"{name}{suffix}" for suffix in (".onnx", ".so")]
        return self.work.finished(name, CandidateReport, lambda: self.bench.measured(make()), files)
