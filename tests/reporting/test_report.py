"""Reports: what belongs to the Pareto set, and that files are read back as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphprune.errors import RecipeError
from graphprune.reporting.report import CandidateReport, MachineReport, Report


def candidate(name: str, quality: float, ms: float) -> CandidateReport:
    return CandidateReport(name=name, model=f"{name}.onnx", model_bytes=1, quality=quality, median_ms=ms, p90_ms=ms)


def report(*candidates: CandidateReport) -> Report:
    machine = MachineReport(cpu="cpu", processors=2, threads=1, target="native", versions={"numpy": "2"})
    dense = candidate("dense", 1.0, 10.0)
    return Report(
        source="a.onnx",
        command="graphprune report",
        metric="agreement",
        dense=dense,
        candidates=candidates,
        machine=machine,
    )


def test_the_fastest_and_whatever_is_better_than_all_faster_ones_are_in_the_pareto_set() -> None:
    found = report(
        candidate("fast", 0.5, 1.0),
        candidate("slower and no better", 0.5, 2.0),
        candidate("good", 0.9, 3.0),
        candidate("as fast and worse", 0.8, 3.0),
        candidate("slowest", 0.99, 11.0),
    )
    assert [each.name for each in found.pareto()] == ["fast", "good", "dense"]


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = report(candidate("fast", 0.5, 1.0))
    written.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == written


def test_a_report_without_its_metric_is_refused(tmp_path: Path) -> None:
    written = report().model_dump_json().replace('"metric"', '"metrics"', 1)
    (tmp_path / "report.json").write_text(written)
    with pytest.raises(RecipeError, match="key 'metric' is missing") as caught:
        Report.load(tmp_path / "report.json")
    assert caught.value.code == "GP320"
