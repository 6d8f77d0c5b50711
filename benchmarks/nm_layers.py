"""N:M layers one by one: our kernels beside ONNX Runtime's dense ones.

    python -m benchmarks.nm_layers [--pattern 1:4] [--pattern 2:4] [--threads 1] [--runs 30] [--only TEXT]

Each row is a model of one layer, all of whose weights follow the pattern; both sides run in turn in one process.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.environment import pinned, read_environment
from graphprune.feeds import random_feed
from graphprune.passes import PackWeights, PruneWeights
from graphprune.passes.base import run_pass
from graphprune.passes.shape_inference import infer_shapes

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


def measure(model: ir.Model, pattern: str, threads: int, runs: int) -> tuple[float, float]:
    """Medians of ONNX Runtime's dense and of our sparse layer, in milliseconds."""
    pruned = run_pass(PruneWeights(gp.plan(model, gp.Recipe(pattern=pattern))), model).model
    packed = run_pass(PackWeights(min_sparsity=0.1), pruned).model
    with pinned(threads):
        sides = {
            "dense": gp.compile(model, backend="onnxruntime", threads=threads),
            "sparse": gp.compile(packed, threads=threads),
        }
    timings = gp.bench(sides, random_feed(model), threads=threads, runs=runs, baseline="dense").timings
    ms = {timing.label: timing.median_ms for timing in timings}
    return ms["dense"], ms["sparse"]


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
    print("| layer | pattern | dense, ms | sparse, ms | ratio | GFLOP/s on nonzeros |")
    print("|---|---|---|---|---|---|")
    for name, model, macs in layers(options.only):
        for pattern in options.pattern or ("1:4", "2:4"):
            keep, of = map(int, pattern.split("x")[0].split(":"))
            dense, sparse = measure(model, pattern, options.threads, options.runs)
            speed = 2 * macs * keep / of / sparse / 1e6
            print(
                f"| {name} | {pattern} | {dense:.3f} | {sparse:.3f} | {dense / sparse:.2f}x | {speed:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
