"""What a run costs beside its work, and what each kernel adds: models of one kernel and of many, with two elements.

    python -m benchmarks.overhead [--kernels 200]

From C (a program that the model is linked into), from Python, and ONNX Runtime from Python beside it; the least of many
rounds of many runs, on one thread. A kernel's own work, a sum of two numbers, is in the figures.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import pinned, read_environment
from graphprune_runtime.hosted import open_in_onnxruntime
from graphprune_runtime.session import CompiledSession

PROGRAM = Path(__file__).with_suffix(".c")
RUNS, ROUNDS = 200, 100
FEED = {"x": np.array([1, 2], np.float32)}


def chain(kernels: int) -> ir.Model:
    """So many kernels, one after another: running sums, which nothing fuses."""
    values = ["x", *(f"v{number}" for number in range(1, kernels)), "y"]
    steps = "\n".join(f"{result} = CumSum({value}, axis)" for value, result in itertools.pairwise(values))
    text = f"""<ir_version: 10, opset_import: ["" : 20]>
    g (float[2] x) => (float[2] y) <int64 axis = {{0}}> {{ {steps} }}"""
    return ir.from_proto(onnx.parser.parse_model(text))


def from_c(model: CompiledSession, folder: Path) -> float:
    """Nanoseconds of a run in a program that the model is linked into."""
    archive, program = folder / "model.a", folder / "program"
    model.save(archive)
    options, libraries = ["-O2", f"-I{gp.get_include()}"], ["-lpthread", "-ldl", "-lm"]
    subprocess.run(["cc", *options, str(PROGRAM), str(archive), *libraries, "-o", str(program)], check=True)  # noqa: S603, S607
    said = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout  # noqa: S603
    return float(said.split()[1])


def from_python(run: Callable[[], object]) -> float:
    """Nanoseconds of a call."""
    least = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(RUNS):
            run()
        least = min(least, (time.perf_counter_ns() - start) / RUNS)
    return least


def ways(kernels: int) -> Mapping[str, float]:
    """Nanoseconds of a run of so many kernels, by how it is called."""
    model = chain(kernels)
    ours, theirs = gp.compile(model), open_in_onnxruntime(ir.to_proto(model).SerializeToString(), 1, optimize=True)
    assert isinstance(ours, CompiledSession)
    assert len(ours.calls) == kernels, "nothing fuses them"
    outputs = {"y": np.empty(2, np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        in_c = from_c(ours, Path(folder))
    return {
        "C, `gp_run`": in_c,
        "Python, `run_with_buffers`": from_python(lambda: ours.run_with_buffers(FEED, outputs)),
        "Python, `run`": from_python(lambda: ours.run(None, FEED)),
        "ONNX Runtime, Python": from_python(lambda: theirs.run(None, FEED)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", type=int, default=200, help="of the longer model")
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {environment.versions}, commit {environment.commit}\n")
    with pinned(1):
        one, many = ways(1), ways(options.kernels)
    print("| called from | a run of one kernel, us | each further kernel, ns |\n|---|---|---|")
    for way, first in one.items():
        print(f"| {way} | {first / 1e3:.2f} | {(many[way] - first) / (options.kernels - 1):.0f} |")


if __name__ == "__main__":
    main()
