"""N:M layers one by one: our kernels beside ONNX Runtime's dense ones.

    python -m benchmarks.nm_layers [--pattern 1:4] [--pattern "2:4 bf16"] [--threads 1] [--runs 30] [--only TEXT]

Each row is a model of one layer, all of whose weights follow the pattern; both sides run in turn in one process.
`bf16` rounds the weights to bfloat16, which our kernels then store. The limit of a layer is the time of its
multiply-adds at the machine's peak, or of its weights' bytes at the speed of memory, whichever is longer; both are
measured first.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.analysis.sparsity import weight_counts
from graphprune.backends.tvm.building.roofline import Roofline, measure_roofline
from graphprune.measuring.environment import pinned, read_environment
from graphprune.passes import PruneWeights
from graphprune.passes.base import run_pass
from graphprune.passes.shape_inference import infer_shapes
from graphprune.targets.target import resolve_target
from graphprune.verification.feeds import random_feed
from graphprune_runtime.session import CompiledSession

PRODUCTS = {
    "BERT-base attention": (128, 768, 768),
    "BERT-base up": (128, 768, 3072),
    "BERT-base down": (128, 3072, 768),
    "ViT-B attention": (197, 768, 768),
    "ViT-B up": (197, 768, 3072),
    "ViT-B down": (197, 3072, 768),
    "Llama-7B attention, 128 tokens": (128, 4096, 4096),
    "Llama-7B up, 128 tokens": (128, 4096, 11008),
    "Llama-7B attention, decode": (1, 4096, 4096),
    "Llama-7B up, decode": (1, 4096, 11008),
    "Llama-7B down, decode": (1, 11008, 4096),
}
"""Rows of the input, inputs, outputs."""

CONVOLUTIONS = {
    **{f"ResNet-50 1x1 {c}-{m} at {s}": (c, m, 1, s) for c, m, s in (
        (64, 256, 56), (256, 64, 56), (128, 512, 28), (512, 128, 28), (256, 1024, 14), (1024, 256, 14), (512, 2048, 7),
        (2048, 512, 7),
    )},
    **{f"ResNet-50 3x3 {c} at {s}": (c, c, 3, s) for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))},
}  # fmt: skip
"""Input channels, outputs, kernel, image."""


def layers(only: str) -> Iterator[tuple[str, ir.Model, float]]:
    """Yield name, model and dense multiply-accumulates."""
    for name, (rows, inputs, outputs) in PRODUCTS.items():
        if only in name:
            text = (
                f"l (float[{rows},{inputs}] x, float[{inputs},{outputs}] w) => (float[A,B] y) {{ y = MatMul (x, w) }}"
            )
            yield name, _model(text), rows * inputs * outputs
    for name, (inputs, outputs, kernel, size) in CONVOLUTIONS.items():
        if only in name:
            pad = kernel // 2
            text = (
                f"l (float[1,{inputs},{size},{size}] x, float[{outputs},{inputs},{kernel},{kernel}] w) "
                f"=> (float[1,{outputs},{size},{size}] y) {{ y = Conv <pads = [{pad},{pad},{pad},{pad}]> (x, w) }}"
            )
            yield name, _model(text), inputs * outputs * kernel**2 * size**2


def _model(text: str) -> ir.Model:
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 20]>\n' + text)
    value = model.graph.inputs.pop()
    assert value.shape is not None
    array = np.random.default_rng(0).standard_normal(value.shape.numpy(), np.float32)
    value.const_value = ir.Tensor(array, name=value.name)
    model.graph.register_initializer(value)
    infer_shapes(model)
    return model


@dataclass(frozen=True)
class Row:
    """Medians of ONNX Runtime's dense and of our sparse layer, our kernel, and what the layer needs."""

    dense_ms: float
    sparse_ms: float
    kernel: str
    operations: float
    weight_bytes: float

    def text(self, name: str, pattern: str, peak: Roofline) -> str:
        """A line of the table."""
        limit = 1e3 * peak.least_seconds(self.operations, self.weight_bytes, peak.memory)
        return (
            f"| {name} | {pattern} | {self.dense_ms:.3f} | {self.sparse_ms:.3f} "
            f"| {self.dense_ms / self.sparse_ms:.2f}x | {self.kernel} | {limit / self.sparse_ms:.0%} |"
        )


def measure(model: ir.Model, pattern: str, macs: float, threads: int, runs: int) -> Row:
    """One layer in one pattern."""
    form, _, values = pattern.partition(" ")
    if values == "bf16":
        model = _rounded(model)
    pruned = run_pass(PruneWeights(gp.plan(model, gp.Recipe(pattern=form))), model).model
    with pinned(threads):
        dense = gp.compile(model, backend="onnxruntime", threads=threads)
        sparse = gp.compile(pruned, threads=threads)
    assert isinstance(sparse, CompiledSession)
    sides = {"dense": dense, "sparse": sparse}
    timings = gp.bench(sides, random_feed(model), threads=threads, runs=runs, baseline="dense").timings
    ms = {timing.label: timing.median_ms for timing in timings}
    weight = weight_counts(pruned)["w"]
    nonzeros = weight.elements - weight.zeros
    # Two bits or so an index are left out: the limit is that of the values alone.
    return Row(
        ms["dense"],
        ms["sparse"],
        sparse.kernels[0].kernel,
        2 * macs * nonzeros / weight.elements,
        nonzeros * (2 if values else 4),
    )


def _rounded(model: ir.Model) -> ir.Model:
    """The model with its weight in bfloat16 numbers, still float32."""
    model = model.clone()
    value = model.graph.initializers["w"]
    assert value.const_value is not None
    bits = value.const_value.numpy().view(np.uint32) & np.uint32(0xFFFF0000)
    value.const_value = ir.Tensor(bits.view(np.float32), name="w")
    return model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pattern", action="append", help="such as 1:4; by default 1:4 and 2:4")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--only", default="", help="layers whose name has this text")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    peak = measure_roofline(resolve_target("native"), options.threads)
    print(f"peak: {peak.gflops:.0f} GFLOP/s, {peak.memory.gbytes:.0f} GB/s from memory")
    print("| layer | pattern | dense, ms | sparse, ms | ratio | kernel | share of the limit |")
    print("|---|---|---|---|---|---|---|")
    for name, model, macs in layers(options.only):
        for pattern in options.pattern or ("1:4", "2:4"):
            print(measure(model, pattern, macs, options.threads, options.runs).text(name, pattern, peak), flush=True)


if __name__ == "__main__":
    main()
