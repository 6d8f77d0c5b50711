"""The machine's peaks: plausible numbers, and the time that they imply."""

from __future__ import annotations

import pytest

from graphprune.backends.targets import resolve_target
from graphprune.backends.tvm import roofline
from graphprune.backends.tvm.roofline import Roofline, measure_roofline


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("threads", [1, 2])
def test_peaks_are_those_of_a_machine(target: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "STEPS", 1 << 12)
    monkeypatch.setattr(roofline, "BYTES_A_CACHE", 1)
    peak = measure_roofline(resolve_target(target), threads)
    assert 1 < peak.gflops < 2000 * threads
    assert 0.1 < peak.gbytes < 5000


def test_operations_or_bytes_decide() -> None:
    peak = Roofline(gflops=100, gbytes=20)
    assert peak.least_seconds(200e9, 1e9) == pytest.approx(2.0)
    assert peak.least_seconds(1e9, 60e9) == pytest.approx(3.0)
