from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.peers.measure import SECONDS, WARM_UP, Side, measure, relative_error, take_turns
from benchmarks.peers.process import PeerError
from tests.benchmarks.peers.fakes import fake

DOUBLE = (
    '<ir_version: 10, opset_import: ["" : 20]> g (float[4] x) => (float[4] y, int64 n) { y = Add(x, x) n = Size(x) }'
)


@dataclass
class Recorder:
    """A process that takes known times and records who ran."""

    label: str
    log: list[str]
    seconds: list[float] = field(default_factory=list)
    version: str = "1"

    def run(self) -> float:
        self.log.append(self.label)
        if self.seconds == [0.0]:
            raise PeerError("ended")
        return self.seconds.pop(0) if self.seconds else 1e-3


def side(label: str, log: list[str], seconds: list[float] | None = None) -> Side:
    return Side(Recorder(label, log, seconds or []))  # type: ignore[arg-type]


def test_peers_run_the_same_file_and_are_checked() -> None:
    outcomes = measure(ir.from_onnx_text(DOUBLE), [fake("sleeper"), fake("liar"), fake("refuser")], threads=4, runs=2)
    assert outcomes["sleeper"].error == 0
    assert outcomes["sleeper"].runs == 2
    assert outcomes["sleeper"].ms is not None
    assert outcomes["sleeper"].ms >= 20
    assert outcomes["liar"].error == float("inf")
    assert outcomes["refuser"].ms is None
    assert outcomes["refuser"].reason == "ValueError: no operator Foo"


def test_turns_alternate_in_order_and_have_an_untimed_run() -> None:
    log: list[str] = []
    take_turns([side("a", log), side("b", log)], runs=1)
    assert "".join(log) == "aabb" + "bbaa" + "aabb" + "bbaa"


def test_the_median_leaves_the_first_turns_out() -> None:
    one = side("a", [], [5, 5, 5, 0.9, 0.001, 0.9, 0.003, 0.9, 0.002])
    take_turns([one], runs=3)
    outcome = one.outcome()
    assert WARM_UP == 3
    assert outcome.runs == 3
    assert outcome.ms == pytest.approx(2)


def test_a_slow_peer_gets_fewer_turns() -> None:
    log: list[str] = []
    slow = side("slow", log, [2 * SECONDS])
    take_turns([slow], runs=5)
    assert log == ["slow"]
    assert slow.outcome().runs == 1
    assert slow.outcome().ms == pytest.approx(2e3 * SECONDS)


def test_a_peer_that_ends_under_way_has_a_reason_and_no_time() -> None:
    log: list[str] = []
    sides = [side("a", log), side("b", log, [0.001, 0.0])]
    take_turns(sides, runs=2)
    assert sides[1].outcome().reason == "ended"
    assert sides[1].outcome().ms is None
    assert sides[0].outcome().runs == 2


@pytest.mark.parametrize(("given", "error"), [([1, -2], 0.0), ([1, -1.5], 0.25), ([1, np.nan], np.inf), ([1], np.inf)])
def test_errors_are_relative_to_the_largest_number(given: list[float], error: float) -> None:
    assert relative_error([np.array(given)], [np.array([1.0, -2.0])]) == error


def test_outputs_that_are_missing_are_an_error() -> None:
    assert relative_error([], [np.array([1.0])]) == np.inf
