"""Recurrent layers one by one: our kernels, dense and with zeros, beside ONNX Runtime's dense ones.

    python -m benchmarks.recurrent [--sparsity 0.9] [--threads 1] [--runs 30] [--only TEXT]

Each row is a model of one layer, with random weights; all sides run in turns in one process. `compile` is the time of
compiling the layer with zeros, which does not depend on the number of steps.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import pinned, read_environment
from graphprune.passes import PruneWeights
from graphprune.passes.base import run_pass
from graphprune.passes.shape_inference import infer_shapes
from graphprune.verification.feeds import random_feed

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUTS = 128
SIZES = ((64, 1, 50), (128, 1, 50), (256, 1, 50), (256, 1, 500), (256, 8, 50), (512, 1, 50), (512, 8, 50))
"""Hidden units, sequences, steps."""


@dataclass(frozen=True)
class Layer:
    """One layer of `INPUTS` inputs."""

    operator: str
    hidden: int
    batch: int
    steps: int
    is_bidirectional: bool = False

    @property
    def name(self) -> str:
        """What its row begins with."""
        both = ", both directions" if self.is_bidirectional else ""
        return f"{self.operator}{both} | {self.hidden} | {self.batch} | {self.steps}"

    def model(self) -> ir.Model:
        """Of normal weights that keep the size of what they are multiplied with."""
        width = GATES[self.operator] * self.hidden
        directions, direction = (2, "bidirectional") if self.is_bidirectional else (1, "forward")
        text = f"""<ir_version: 10, opset_import: ["" : 20]>
            l (float[{self.steps},{self.batch},{INPUTS}] x) => (float[A,B,C,D] y) {{
                y = {self.operator} <hidden_size = {self.hidden}, direction = "{direction}"> (x, w, r, b) }}"""
        model = ir.from_onnx_text(text)
        rng = np.random.default_rng(0)
        for name, shape in {"w": (width, INPUTS), "r": (width, self.hidden), "b": (2 * width,)}.items():
            array = rng.standard_normal((directions, *shape), np.float32) / np.float32(np.sqrt(shape[-1]))
            value = next(each for node in model.graph for each in node.inputs if each is not None and each.name == name)
            value.const_value = ir.Tensor(array, name=name)
            model.graph.register_initializer(value)
        infer_shapes(model)
        return model


def layers() -> list[Layer]:
    """The rows of the table."""
    each = [Layer(operator, *size) for operator in ("LSTM", "GRU", "RNN") for size in SIZES]
    return [*each, *(Layer(operator, 256, 1, 50, is_bidirectional=True) for operator in ("LSTM", "GRU"))]


def measure(layer: Layer, sparsity: float, threads: int, runs: int) -> str:
    """A line of the table."""
    model = layer.model()
    recipe = gp.Recipe(sparsity=sparsity, pattern="unstructured", scope="layer")
    pruned = run_pass(PruneWeights(gp.plan(model, recipe)), model).model
    with pinned(threads):
        theirs, dense = (gp.compile(model, backend=name, threads=threads) for name in ("onnxruntime", "tvm"))
        begin = time.perf_counter()
        sparse = gp.compile(pruned, threads=threads)
        seconds = time.perf_counter() - begin
    sides = {"theirs": theirs, "dense": dense, "sparse": sparse}
    timings = gp.bench(sides, random_feed(model), threads=threads, runs=runs, baseline="theirs").timings
    ms = {timing.label: timing.median_ms for timing in timings}
    ours = " | ".join(f"{ms[side]:.3f} | {ms['theirs'] / ms[side]:.2f}x" for side in ("dense", "sparse"))
    return f"| {layer.name} | {ms['theirs']:.3f} | {ours} | {seconds:.1f} s |"


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--only", default="", help="rows that contain this text")
    options = parser.parse_args()
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    zeros = f"{options.sparsity:.0%} zeros"
    print(f"| layer | hidden | batch | steps | ONNX Runtime, ms | dense, ms | | {zeros}, ms | | compile |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for layer in layers():
        if options.only in layer.name:
            print(measure(layer, options.sparsity, options.threads, options.runs), flush=True)


if __name__ == "__main__":
    main()
