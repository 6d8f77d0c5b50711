"""Time and memory of reading a model of 3 GB: `python benchmarks/inspect_large.py [--gigabytes 3] [COMMAND...]`.

Makes a model whose weights lie in an external data file, then runs the command on it (default: `graphprune inspect`) in
a process of its own and prints its wall time and its peak resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir

ROWS, COLUMNS, PIECE_ROWS = 8192, 8192, 64
LAYER_BYTES = 4 * ROWS * COLUMNS
INSPECT = [sys.executable, "-c", "import sys; from graphprune.cli import main; sys.exit(main())", "inspect"]


def write_model(folder: Path, gigabytes: float) -> Path:
    """Write a chain of MatMuls, 256 MiB a weight, half of the values zero."""
    layers = max(1, round(gigabytes * 2**30 / LAYER_BYTES))
    # Small pieces: a child's peak memory starts, on Linux, at what its parent had when it was started.
    piece = np.random.default_rng(0).standard_normal((PIECE_ROWS, COLUMNS), dtype=np.float32)
    piece[::2] = 0
    with (folder / "large.data").open("wb") as file:
        for _ in range(layers * ROWS // PIECE_ROWS):
            piece.tofile(file)
    x = ir.val("x", ir.DataType.FLOAT, (1, ROWS))
    values, nodes, weights = [x], [], []
    for layer in range(layers):
        tensor = ir.ExternalTensor(
            "large.data",
            layer * LAYER_BYTES,
            LAYER_BYTES,
            ir.DataType.FLOAT,
            shape=ir.Shape((ROWS, COLUMNS)),
            name=f"layer{layer}.weight",
            base_dir=folder,
        )
        weights.append(
            ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
        )
        nodes.append(ir.node("MatMul", [values[-1], weights[-1]], name=f"layer{layer}"))
        nodes[-1].outputs[0].name = f"y{layer}"
        values.append(nodes[-1].outputs[0])
    values[-1].type, values[-1].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape((1, COLUMNS))
    graph = ir.Graph([x], [values[-1]], nodes=nodes, initializers=weights, opset_imports={"": 20}, name="large")
    ir.save(ir.Model(graph, ir_version=10), folder / "large.onnx")
    return folder / "large.onnx"


def measure(command: list[str]) -> tuple[float, float]:
    """Run `command` and return its seconds and its peak resident memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the user's own command line
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / 1e3


def main() -> None:
    """Write the model, which warms the page cache, and run three times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("command", nargs="*", default=INSPECT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(Path(folder), options.gigabytes)
        runs = [measure([*options.command, str(path)]) for _ in range(3)]
    for seconds, megabytes in runs:
        print(f"{seconds:.2f} s, {megabytes:.0f} MB at most")


if __name__ == "__main__":
    main()
