"""The machine's peaks: plausible numbers, remembered, and the time that they imply."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from graphprune.backends.tvm.building import roofline
from graphprune.backends.tvm.building.roofline import Level, Roofline, measure_roofline
from graphprune.targets.target import resolve_target

PEAK = Roofline(gflops=100, gops=400, levels=(Level(1e6, 200), Level(1e8, 80), Level(math.inf, 20)))


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in (("STEPS", 1 << 12), ("TIMES_CACHE", 1), ("LEAST_READ", 1 << 20), ("SECONDS", 0.01)):
        monkeypatch.setattr(roofline, name, value)


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("threads", [1, 2])
def test_peaks_are_those_of_a_machine(target: str, threads: int) -> None:
    peak = measure_roofline(resolve_target(target), threads)
    assert 0 < peak.gflops < 2000 * threads
    assert 0 < peak.gops < 8000 * threads
    assert [level.capacity for level in peak.levels] == sorted(level.capacity for level in peak.levels)
    assert peak.memory.capacity == math.inf
    assert all(0 < level.gbytes < 5000 for level in peak.levels)


def test_the_best_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    target = resolve_target("native")
    best = measure_roofline(target, 1)
    monkeypatch.setattr(roofline, "_run", lambda *_: 1e9)
    assert measure_roofline(target, 1) == best
    monkeypatch.setattr(roofline, "_run", lambda *_: 1e-9)
    assert measure_roofline(target, 1).gflops > best.gflops


def test_operations_or_bytes_decide() -> None:
    assert PEAK.least_seconds("dense", 200e9, 1e9, PEAK.memory) == pytest.approx(2.0)
    assert PEAK.least_seconds("dense_int8", 200e9, 1e9, PEAK.memory) == pytest.approx(0.5)
    assert PEAK.least_seconds("sparse", 1e9, 60e9, PEAK.memory) == pytest.approx(3.0)


@pytest.mark.parametrize(("nbytes", "gbytes"), [(0, 200), (1e6, 200), (1e6 + 1, 80), (1e8, 80), (1e12, 20)])
def test_bytes_come_from_the_nearest_level_that_holds_them(nbytes: float, gbytes: float) -> None:
    assert PEAK.level(nbytes).gbytes == gbytes
