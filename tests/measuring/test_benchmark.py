import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.measuring import benchmark
from graphprune.measuring.benchmark import bench
from graphprune.measuring.environment import pinned
from graphprune_runtime.interface import TensorInfo

FEED = {"x": np.zeros((1, 2), "float32")}


@dataclass
class Sleeper:
    """A session that takes a known time, and records who ran when and on which processors."""

    label: str
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)
    processors: set[int] = field(default_factory=set)

    def run(self, _names: Sequence[str] | None, _feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        self.log.append(self.label)
        self.processors = os.sched_getaffinity(0)
        time.sleep(self.seconds)
        return []

    def get_inputs(self) -> list[TensorInfo]:
        return [TensorInfo("x", (1, 2), np.dtype("float32"))]

    def get_outputs(self) -> list[TensorInfo]:
        return []

    def save(self, path: str | PathLike[str]) -> None:
        raise NotImplementedError


def test_the_ratio_is_of_medians_to_the_baseline() -> None:
    report = bench({"fast": Sleeper("fast", 0.002), "slow": Sleeper("slow", 0.006)}, FEED, runs=9, warmup=1)
    fast, slow = report.timings
    assert report.baseline == "slow"
    assert slow.speedup == 1.0
    assert fast.speedup == pytest.approx(slow.median_ms / fast.median_ms)
    assert fast.speedup > 1.5
    assert 2 <= fast.p10_ms <= fast.median_ms <= fast.p90_ms <= fast.p99_ms


def test_sides_take_turns_in_alternating_order() -> None:
    log: list[str] = []
    bench({"a": Sleeper("a", log=log), "b": Sleeper("b", log=log)}, FEED, runs=2, warmup=2)
    assert "".join(log) == "abbaabba"


@pytest.mark.parametrize(
    ("limits", "runs"), [((0, 1e9), 30), ((1e9, 0), 30), ((100, 1e9), 50), ((1e9, 300), 75), ((100, 300), 50)]
)
def test_by_default_the_fastest_runs_a_while(
    limits: tuple[float, float], runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "FASTEST_MS", limits[0])
    monkeypatch.setattr(benchmark, "SLOWEST_MS", limits[1])
    seconds = {"fast": 0.002, "slow": 0.004}
    monkeypatch.setattr(benchmark, "_time", lambda session, _feed: seconds[session.label])
    rounds: list[int] = []
    report = bench({name: Sleeper(name) for name in seconds}, FEED, on_round=rounds.append)
    assert (report.runs, report.warmup) == (runs, 5)
    assert rounds == list(range(1, runs + 6))


def test_warm_ups_are_not_counted() -> None:
    class ColdStart(Sleeper):
        def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            time.sleep(0.02 if not self.log else 0)
            return super().run(names, feed)

    report = bench({"a": ColdStart("a")}, FEED, runs=1, warmup=1)
    assert report.timings[0].median_ms < 10


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not pin threads")
def test_threads_are_pinned_while_it_runs() -> None:
    before = os.sched_getaffinity(0)
    session = Sleeper("a")
    bench({"a": session}, FEED, threads=1, runs=1, warmup=0)
    assert session.processors == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_pinning_is_undone_after_an_error() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), pinned(1):
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_the_report_states_what_it_was_taken_with() -> None:
    report = bench({"a": Sleeper("a")}, FEED, runs=1, warmup=0)
    data = json.loads(json.dumps(report.to_dict()))
    assert data["inputs"] == {"x": "float32[1, 2]"}
    assert data["environment"]["cpu"]
    assert {"graphprune", "onnxruntime", "numpy"} <= data["environment"]["versions"].keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sides": {}}, r"there is no session to time \[GP571\]"),
        ({"runs": 0}, r"runs is 0 and warmup 5, expected at least 1 and 0 \[GP572\]"),
        ({"warmup": -1}, r"runs is None and warmup -1"),
        ({"baseline": "b"}, r"unknown baseline 'b', expected one of a \[GP573\]"),
        ({"feed": {}}, r"a does not take the common input: input 'x' is missing, .* \[GP513\]"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    options: dict[str, object] = {"sides": {"a": Sleeper("a")}, "feed": FEED} | arguments
    with pytest.raises(InputError, match=message):
        bench(**options)  # type: ignore[arg-type]
