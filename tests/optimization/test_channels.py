"""Which smaller candidates are made for a time."""

from __future__ import annotations

from typing import cast

import pytest

from graphprune.optimization.channels import Channels, _Candidates
from graphprune.optimization.search import Search
from graphprune.reporting.report import CandidateReport

DENSE = CandidateReport(name="dense", model="dense.onnx", model_bytes=1, quality=1.0, median_ms=10.0, p90_ms=10.0)


@pytest.mark.parametrize(("most_ms", "share"), [(8.0, 0.2), (7.25, 0.28), (20.0, 0.02), (9.99, 0.02), (0.1, 0.8)])
def test_time_is_expected_to_go_with_parameters(most_ms: float, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(_Candidates, "at_share", lambda _, given: asked.append(given))
    _Candidates(cast(Search, None), Channels(), DENSE).within(most_ms)
    assert asked == [share]
