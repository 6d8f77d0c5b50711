"""Layers one by one, in any pattern: our kernels beside ONNX Runtime's dense ones.

    python -m benchmarks.nm_layers [--pattern 1:4] [--pattern "2:4 bf16"] [--pattern "unstructured@0.9 bf16"]
        [--threads 1] [--runs 30] [--only TEXT]

Each row is a model of one layer, all of whose weights follow the pattern; all patterns of a layer and the dense one run
in turn in one process. `bf16` rounds the weights to bfloat16, which our kernels then store. The limit of a layer is the
time of its multiply-adds at the machine's peak, or of its weights' bytes at the speed of memory, whichever is longer;
both are measured first.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

import graphprune as gp
from benchmarks.patterns import pruned
from graphprune.analysis.sparsity import weight_counts
from graphprune.backends.tvm.building.roofline import Roofline, measure_roofline
from graphprune.measuring.environment import pinned, read_environment
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
    "Llama-7B attention, 8 tokens": (8, 4096, 4096),
    "Llama-7B up, 8 tokens": (8, 4096, 11008),
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

NARROW = " bf16"
"""What a pattern ends with whose weights are rounded."""


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
        limit = 1e3 * peak.least_seconds("dense", self.operations, self.weight_bytes, peak.memory)
        return (
            f"| {name} | {pattern} | {self.dense_ms:.3f} | {self.sparse_ms:.3f} "
            f"| {self.dense_ms / self.sparse_ms:.2f}x | {self.kernel} | {limit / self.sparse_ms:.0%} |"
        )


def measure(model: ir.Model, patterns: list[str], macs: float, threads: int, runs: int) -> Iterator[tuple[str, Row]]:
    """Yield each pattern and its row, of one layer."""
    sparse = {pattern: _pruned(model, pattern) for pattern in patterns}
    with pinned(threads):
        dense = gp.compile(model, backend="onnxruntime", threads=threads)
        sides = {pattern: gp.compile(each, threads=threads) for pattern, each in sparse.items()}
    timings = gp.bench(
        {"dense": dense, **sides}, random_feed(model), threads=threads, runs=runs, baseline="dense"
    ).timings
    ms = {timing.label: timing.median_ms for timing in timings}
    for pattern, session in sides.items():
        assert isinstance(session, CompiledSession)
        weight = weight_counts(sparse[pattern])["w"]
        nonzeros = weight.elements - weight.zeros
        operations, nbytes = 2 * macs * nonzeros / weight.elements, nonzeros * (2 if pattern.endswith(NARROW) else 4)
        # Places are left out: the limit is that of the values alone.
        yield pattern, Row(ms["dense"], ms[pattern], session.kernels[0].kernel, operations, nbytes)


def _pruned(model: ir.Model, pattern: str) -> ir.Model:
    form = pattern.removesuffix(NARROW)
    return pruned(model if form == pattern else _rounded(model), form)


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
        patterns = options.pattern or ["1:4", "2:4"]
        for pattern, row in measure(model, patterns, macs, options.threads, options.runs):
            print(row.text(name, pattern, peak), flush=True)


if __name__ == "__main__":
    main()
