"""`graphprune.optimize` of a subject, whose score is the metric."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import graphprune as gp
from benchmarks.one_shot.subject import Subject, score_session
from graphprune.cli.preprocessing import by_input, read_calibration
from graphprune.reporting.report import Report
from graphprune_runtime.interface import Session


def optimized(subject: Subject, cache: Path, output: Path, max_drop: float) -> Report:
    """Optimize what `write` left in `cache`; what is being done goes to stderr."""
    sign = _sign(subject)

    def score(session: Session) -> float:
        return sign * score_session(subject, cache, session)

    score.__module__, score.__name__ = "", subject.metric  # what the report calls it
    model, given = gp.load(cache / "dense.onnx"), read_calibration([str(cache / "calibration.npz")], None)
    assert given is not None, "there is a file"
    show = partial(print, file=sys.stderr, flush=True)
    return gp.optimize(model, output, by_input(given, model), metric=score, max_drop=max_drop, on_step=show)


def table(report: Report, subject: Subject) -> Iterator[str]:
    """Yield the lines of a Markdown table, and which candidate is recommended."""
    sign = _sign(subject)
    yield f"| candidate | {subject.metric} | ms | MB | zeros |\n|---|---|---|---|---|"
    for rival in report.rivals:
        yield f"| {rival.name} | {sign * rival.quality:.4g} | {rival.median_ms:.3g} | | |"
    for each in (report.dense, *report.candidates):
        zeros = sum(layer.zeros for layer in each.layers) / sum(layer.elements for layer in each.layers)
        size = each.model_bytes / 1e6
        yield f"| {each.name} | {sign * each.quality:.4g} | {each.median_ms:.3g} | {size:.3g} | {zeros:.0%} |"
    for refused in report.refused:
        yield f"{refused.name}: {refused.reason} [{refused.code}]"
    yield f"\n{report.recommended}: {report.why}"


def _sign(subject: Subject) -> int:
    return 1 if subject.more_is_better else -1
