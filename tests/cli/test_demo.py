import json
from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir
import pytest

from graphprune.backends.onnxruntime import OnnxRuntimeSession
from graphprune.testing import models
from tests.invoke import invoke
from tests.small_model import proto


@pytest.fixture(autouse=True)
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration on a model of one layer."""
    monkeypatch.setattr(models, "build", lambda _: ir.from_proto(proto()))


def test_it_verifies_and_times_against_the_dense_model() -> None:
    outcome = invoke("demo", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report["verify"]["passed"]
    assert [side["label"] for side in report["bench"]["timings"]] == [
        "graphprune, 90% zeros",
        "onnxruntime, the same file",
        "onnxruntime, dense",
    ]
    assert report["bench"]["baseline"] == "onnxruntime, dense"


def test_the_tables_are_printed() -> None:
    out = invoke("demo", "--sparsity", "0.5").out
    for fragment in ("equal on 3 cases", "graphprune, 50% zeros", "onnxruntime, dense", "1.00x"):
        assert fragment in out


def test_a_wrong_result_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(
        session: OnnxRuntimeSession, names: list[str] | None, feed: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        return [2 * array for array in original(session, names, feed)]

    original: Callable[..., list[np.ndarray]] = OnnxRuntimeSession.run
    monkeypatch.setattr(OnnxRuntimeSession, "run", doubled)
    outcome = invoke("demo")
    assert outcome.code == 1
    assert "different on 3 cases" in outcome.out
