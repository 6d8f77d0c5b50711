"""The time of all candidates in turns, beside what the same work takes without graphprune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for, session_for_file
from graphprune.measuring.benchmark import bench
from graphprune.measuring.environment import pinned, read_environment
from graphprune.optimization.measured import Bench
from graphprune.reporting.report import CandidateReport, MachineReport, RivalReport
from graphprune_runtime.interface import Session
from graphprune_runtime.loading import load_session


@dataclass(frozen=True)
class Timed:
    """Candidates with their times.

    Attributes:
        candidates: In the order given.
        rivals: ONNX Runtime on the dense model, then on the one of integers, if there is one.
    """

    candidates: tuple[CandidateReport, ...]
    rivals: tuple[RivalReport, ...]


def timed(model: ir.Model, where: Bench, candidates: Sequence[CandidateReport], integers: str | None = None) -> Timed:
    """Time candidates and rivals in turns, on one sample.

    Args:
        model: The dense one.
        where: Where they lie.
        candidates: Written and compiled.
        integers: The name of one that the rival runs too: of integers without zeros.
    """
    with pinned(where.threads):
        rivals: dict[str, Session] = {"onnxruntime, float32": session_for(model, where.threads)}
        for each in candidates:
            if each.name == integers:
                rivals["onnxruntime, int8"] = session_for_file(where.folder / each.model, where.threads)
        sides = dict(rivals)
        for each in candidates:
            sides[each.name] = load_session(where.folder / str(each.compiled), where.threads)
        report = bench(sides, where.feeds[0], where.threads, baseline="onnxruntime, float32")
        qualities = {name: where.metric.of(session) for name, session in rivals.items()}
    found = {timing.label: {"median_ms": timing.median_ms, "p90_ms": timing.p90_ms} for timing in report.timings}
    return Timed(
        tuple(each.model_copy(update=found[each.name]) for each in candidates),
        tuple(RivalReport(name=name, quality=qualities[name], **found[name]) for name in rivals),
    )


def machine_report(where: Bench) -> MachineReport:
    """Return where times were taken."""
    return MachineReport(threads=where.threads, target=where.target, **asdict(read_environment()))
