"""Changed files: what is changed, and that each kind of defect is seen as what it is."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import onnx
import onnx_ir as ir
import pytest

from benchmarks.fuzz.changes import changed
from benchmarks.fuzz.trial import why_undetermined

MODEL = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["": 20]> g (float[2,3] x) => (float[2,3] y) '
    "<float[3] w = {1, 2, 3}> { a = Add(x, w) y = LeakyRelu<alpha = 0.5>(a) }"
).SerializeToString()

WHOLE = """
import os, time
from benchmarks.fuzz import trial, worker
import graphprune as gp
from graphprune.errors import InputError

worker.SECONDS = 20
trial.warm_up({data!r})
one = worker.Worker()
for file in ({data!r}, b"nothing", {data!r}, b"nothing"):
    print(one.attempt(file)[0])
real = gp.load
for fault in (
    lambda path: os.kill(os.getpid(), 11),
    lambda path: 1 / 0,
    lambda path: (_ for _ in ()).throw(InputError("it has no code")),
    lambda path: bytearray(8 << 30),
    lambda path: time.sleep(100),
):
    one.close()
    gp.load = fault
    worker.SECONDS = 2
    print(one.attempt({data!r})[0])
one.close()
gp.load = real
drawn, trial.random_feed = trial.random_feed, lambda inputs, seed: bytearray(8 << 30)
worker.SECONDS = 20
print(one.attempt({data!r})[0])
one.close()
trial.random_feed = drawn
trial.session_for_file = lambda path, optimize: type("S", (), {{"run": lambda self, names, feed: [feed["x"]]}})()
worker.SECONDS = 20
print(one.attempt({data!r})[0])
trial.session_for_file = lambda path, optimize: os.kill(os.getpid(), 11)
one.close()
print(one.attempt({data!r})[0])
runs = []
gp.load = lambda path: runs.append(path) or (1 / 0 if len(runs) > 1 else real(path))
one.close()
print(one.attempt({data!r})[0], one.attempt({data!r})[0])
"""


def test_each_defect_is_seen_as_what_it_is() -> None:
    run = subprocess.run([sys.executable, "-c", WHOLE.format(data=MODEL)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "equal",
        "refused",
        "equal",
        "refused",
        "killed by a signal",
        "internal error",
        "refused in more than a line, or without a code",
        "internal error",
        "did not end",
        "refused",
        "different",
        "runs, but not in ONNX Runtime",
        "runs, but not in ONNX Runtime runs, but not in ONNX Runtime",
    ]


def test_most_changes_are_of_fields_and_all_of_them_change_something() -> None:
    random = Random(0)  # noqa: S311
    files = [changed(MODEL, random) for _ in range(300)]
    assert sum(file != MODEL for file in files) > 250
    assert sum(_parses(file) for file in files) > 200
    assert files == [changed(MODEL, again) for again in [Random(0)] for _ in range(300)]  # noqa: S311
    assert len(set(files)) > 150


def _parses(data: bytes) -> bool:
    try:
        onnx.ModelProto().ParseFromString(data)
    except Exception:  # noqa: BLE001 - protobuf's errors differ by implementation
        return False
    return True


@pytest.mark.parametrize(
    ("attributes", "is_determined"), [({"sorted": 0}, False), ({"sorted": 1}, True), ({"alpha": float("nan")}, False)]
)
def test_what_nobody_determines_is_not_compared(attributes: dict[str, int | float], *, is_determined: bool) -> None:
    operator = "TopK" if "sorted" in attributes else "Elu"
    node = ir.node(operator, [ir.Value(name="x")], attributes)
    model = ir.Model(ir.Graph([], [], nodes=[node]), ir_version=10)
    assert (why_undetermined(model) is None) == is_determined
