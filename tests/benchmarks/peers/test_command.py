import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers.peers import Peer
from benchmarks.peers.results import Outcome
from graphprune.backends.tvm.building.roofline import Level, Roofline
from graphprune.targets.target import Target

COMMAND = ["peers", "demo", "--sparsity", "0", "0.75", "--peer", "graphprune", "tvm", "--threads", "2", "--runs", "7"]


def share_of_zeros(model: ir.Model) -> float:
    """The share of zeros among the largest weight of the model."""
    weights = [value.const_value.numpy() for value in model.graph.initializers.values() if value.const_value]
    return float(np.mean(max(weights, key=lambda weight: weight.size) == 0))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The shares of zeros in the files that were measured, which takes no time here."""
    zeros: list[float] = []

    def measure(model: ir.Model, peers: Iterable[Peer], threads: int, runs: int) -> dict[str, Outcome]:
        assert (threads, runs) == (2, 7)
        zeros.append(share_of_zeros(model))
        return {peer.name: Outcome(10.0, runs, 0.0, "1") for peer in peers}

    def peak(_target: Target, threads: int) -> Roofline:
        return Roofline(50.0 * threads, 200.0 * threads, (Level(math.inf, 1.0),))

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "measure_roofline", peak)
    return zeros


def test_it_prints_a_table_and_keeps_what_it_was_made_of(
    measured: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [*COMMAND, "--json", str(tmp_path / "rows.json")])
    command.main()
    printed = capsys.readouterr().out.splitlines()
    kept = json.loads((tmp_path / "rows.json").read_text())
    assert measured == pytest.approx([0, 0.75], abs=0.01)
    assert [text.split(" | ")[1] for text in printed[2:4]] == ["0%", "75%"]
    assert "peak: 100 GFLOP/s" in printed
    assert [row["outcomes"]["tvm"]["ms"] for row in kept["rows"]] == [10.0, 10.0]
    assert kept["threads"] == 2


def test_an_unknown_peer_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--peer", "nobody"])
    with pytest.raises(SystemExit):
        command.main()
    assert "invalid choice: 'nobody'" in capsys.readouterr().err
