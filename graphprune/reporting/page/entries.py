"""What a page says of each candidate beside what is in the report: how it compares with others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphprune.reporting.page.numbers import ratio
from graphprune.reporting.report import CandidateReport, Report, RivalReport

_DRAWN = 1e12
"""What is larger is beside all that can be compared, and no picture shows it."""


@dataclass(frozen=True)
class Entry:
    """A candidate, or the dense model, among the others.

    Attributes:
        candidate: What is known of it.
        number: Its place on the page; the dense model is 0.
        is_dense: Whether it is the dense model.
        in_pareto: Whether nothing as fast is as good.
        is_recommended: Whether it is the one to take.
        change: Its quality less that of the dense model.
        speedup: How many runs of it take the time of one of the first rival, or of the dense model without rivals.
        over_dense: The same, of the dense model.
        prediction_error: By which share of the time taken the prediction is too high.
    """

    candidate: CandidateReport
    number: int
    is_dense: bool
    in_pareto: bool
    is_recommended: bool
    change: float
    speedup: float | None
    over_dense: float | None
    prediction_error: float | None


def entries(report: Report) -> list[Entry]:
    """The dense model and all candidates, in the order of the report."""
    models = (report.dense, *report.candidates)
    pareto = report.pareto()
    recommended = next((each for each in models if each.name == report.recommended), None)
    return [
        Entry(
            candidate=each,
            number=number,
            is_dense=number == 0,
            in_pareto=any(each is other for other in pareto),
            is_recommended=each is recommended,
            change=each.quality - report.dense.quality,
            speedup=speedup(report, each),
            over_dense=ratio(report.dense.median_ms, each.median_ms),
            prediction_error=_prediction_error(each),
        )
        for number, each in enumerate(models)
    ]


def base(report: Report) -> CandidateReport | RivalReport:
    """What speed-ups are relative to: the first rival, or the dense model where there is none."""
    return report.rivals[0] if report.rivals else report.dense


def speedup(report: Report, model: CandidateReport | RivalReport) -> float | None:
    """How many runs of `model` take the time of one of `base`."""
    return ratio(base(report).median_ms, model.median_ms)


def _prediction_error(candidate: CandidateReport) -> float | None:
    if candidate.predicted_ms is None:
        return None
    share = ratio(candidate.predicted_ms, candidate.median_ms)
    return None if share is None else share - 1


@dataclass(frozen=True)
class Point:
    """A model in the picture of quality and time; `entry` is None for a rival."""

    name: str
    ms: float
    quality: float
    entry: Entry | None = None

    @property
    def is_recommended(self) -> bool:
        """Whether it is the one to take."""
        return self.entry is not None and self.entry.is_recommended

    @property
    def in_pareto(self) -> bool:
        """Whether nothing as fast is as good; a rival never is."""
        return self.entry is not None and self.entry.in_pareto


def points(report: Report) -> list[Point]:
    """All models, rivals among them, that have a place between others."""
    found = [*_points(report)]
    return [each for each in found if is_drawn(each.ms) and is_drawn(each.quality)]


def _points(report: Report) -> Iterator[Point]:
    for entry in entries(report):
        yield Point(entry.candidate.name, entry.candidate.median_ms, entry.candidate.quality, entry)
    for rival in report.rivals:
        yield Point(rival.name, rival.median_ms, rival.quality)


def is_drawn(value: float | None) -> bool:
    """Whether a picture has a place for `value`."""
    return value is not None and math.isfinite(value) and abs(value) < _DRAWN
