"""Peers of `fake_openers`, and results that nobody measured."""

from benchmarks.peers.peers import Peer
from benchmarks.peers.results import Comparison, Outcome, Row
from graphprune.measuring.environment import Environment


def fake(opener: str) -> Peer:
    return Peer(opener, "numpy", f"tests.benchmarks.peers.fake_openers:{opener}")


def recorded() -> Comparison:
    """Two models on three peers, one of which takes neither, and one computes something else once."""
    refused = Outcome(reason="ValueError: no operator Foo | Bar")
    machine = Environment("A processor", 2, {}, "abc")
    comparison = Comparison(machine, 1, 1, 118.0, ["graphprune", "deepsparse", "tvm"])
    for model, scale in (("small", 1.0), ("large", 10.0)):
        for sparsity, ms in ((0.0, 4.0), (0.9, 1.0)):
            error = 0.3 if (model, sparsity) == ("large", 0.9) else 1e-7
            outcomes = {
                "graphprune": Outcome(ms * scale, 20, 2e-7, "0.1.0"),
                "deepsparse": Outcome(1.5 * ms * scale, 20, error, "1.8.0"),
                "tvm": refused,
            }
            comparison.rows.append(Row(model, sparsity, 0.5 * ms * scale, outcomes))
    return comparison
