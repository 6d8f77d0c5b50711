"""How long layers take."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.allocation import times
from graphprune.allocation.levels import LEVELS
from graphprune.allocation.times import measure_times
from graphprune.analysis.sparsity import weight_counts
from tests.allocation.network import feeds, network, plan_of


def test_kernels_are_counted_to_the_layers_that_they_were_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    compiled: list[float] = []

    def node_times(pruned: ir.Model, *_: object) -> dict[str, float]:
        counts = weight_counts(pruned)
        share = counts["v"].zeros / counts["v"].elements
        compiled.append(round(share, 2))
        return {"": 0.5, "one": 3.0, "two": 4.0 * (1 - share), "other": 1.0 + share}

    monkeypatch.setattr(times, "_node_times", node_times)
    seen: list[int] = []
    found = measure_times(model, plan_of(model), feeds()[0], on_level=seen.append)
    assert compiled == list(LEVELS)
    assert seen == list(range(1, len(LEVELS) + 1))
    assert found.weights["u"] == (3.0,) * len(LEVELS)
    assert found.weights["v"] == pytest.approx([4.0 * (1 - level) for level in LEVELS], abs=0.01)
    assert found.weights["w"] == (0.0,) * len(LEVELS)  # it has no kernel of its own here
    assert found.others == pytest.approx([1.5 + level for level in LEVELS], abs=0.01)


def test_real_kernels_and_what_is_done_before_they_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "levels_of", lambda _plan: (0.0, 0.8))
    finished: list[ir.Model] = []

    def finish(model: ir.Model) -> ir.Model:
        finished.append(model)
        return model

    found = measure_times(network(), plan_of(network()), feeds()[0], finish=finish)
    assert len(finished) == 2
    assert set(found.weights) == {"u", "v", "w"}
    assert all(time > 0 for each in found.weights.values() for time in each)
    assert all(time > 0 for time in found.others)
