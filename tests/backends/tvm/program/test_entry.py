"""Programs of more calls than one function makes, whose kernels are in several modules."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.backends.tvm.building.objects import compile_objects
from graphprune.backends.tvm.program import entry
from graphprune.backends.tvm.program.recording import Buffer, Kernels, Recording, Weights
from graphprune.targets.target import resolve_target
from tests.backends.tvm.graphs import assert_equal, compile_, parse
from tests.backends.tvm.program.test_recording import scaled

NAMES = ["x", *(f"v{number}" for number in range(9)), "y"]
STEPS = [f"{NAMES[n + 1]} = Softmax <axis = {n % 2}> ({NAMES[n]})" for n in range(len(NAMES) - 1)]
MODEL = parse(f"g (float[5,7] x) => (float[5,7] y) {{ {' '.join(STEPS)} }}")


@pytest.mark.parametrize("steps", [2, 3, 32])
def test_calls_are_made_in_order_however_they_are_grouped(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "MOST_STEPS", steps)
    session = compile_(MODEL)
    assert_equal(session, MODEL)
    feed = {"x": np.ones((5, 7), np.float32)}
    (times,) = session.time_kernels(feed, 1)
    assert len(times) == len(session.calls)


def recording(count: int) -> Recording:
    result = Recording(Kernels(), Weights())
    value = result.input(8, "float32")
    for number in range(count):
        inputs, value = [value], Buffer(8, "float32")
        result.call(scaled(number), inputs, [value])
    return result


def test_a_kernel_is_in_one_module_whatever_comes_after_it() -> None:
    target = resolve_target("x86-64-v3")
    few, many = (compile_objects(recording(count).kernels.functions, target) for count in (2, 5))
    assert [len(few), len(many)] == [2, 5]
    assert few == many[:2]
