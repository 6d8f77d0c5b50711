"""Pruned models of integers beside their floats: graphprune and ONNX Runtime on both files, in turns in one process.

    python -m benchmarks.integers [MODEL[@PATTERN] ...] [--threads 1] [--runs 20]

PATTERN is as `block 1x4@0.8` (runs of 4 input channels) or `unstructured@0.9`. Integers are `graphprune.quantize`'s,
of ranges from two random inputs: unsigned activations, signed weights of a scale for each output, as ONNX Runtime's
kernels want them; it opens them in two ways, of which the faster counts. Prints medians, ratios over ours of integers,
and the bytes of its compiled file over those of the floats' ONNX file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir
import onnxruntime as ort

import graphprune as gp
from benchmarks.patterns import pruned
from graphprune.backends.onnxruntime import OnnxRuntimeSession, session_for
from graphprune.measuring.environment import pinned, read_environment
from graphprune.testing import models

DEFAULT = (
    *("resnet50", "resnet50@block 1x4@0.8", "resnet50@unstructured@0.9"),
    *("mobilenet_v1", "mobilenet_v1@block 1x4@0.8"),
    *("bert_base", "bert_base@block 1x4@0.8", "bert_base@unstructured@0.9"),
)
SIDES = (
    *("graphprune int8", "graphprune float32", "ONNX Runtime int8", "ONNX Runtime float32"),
    "ONNX Runtime int8 without MatMulAddFusion",
)
SAMPLES = 2


def measure(text: str, threads: int, runs: int) -> str:
    """The row of a model."""
    name, _, pattern = text.partition("@")
    floats = pruned(models.build(name), pattern) if pattern else models.build(name)
    integers = gp.quantize(floats, [models.random_feed(floats, seed) for seed in range(SAMPLES)]).model
    files = integers, floats
    with pinned(threads):
        ours = [gp.compile(each, threads=threads) for each in files]
        rivals = [session_for(each, threads) for each in files]
        sides = dict(zip(SIDES, (*ours, *rivals, _without_gemms(integers, threads)), strict=True))
        report = gp.bench(sides, models.random_feed(floats, 0), threads, runs)
    *medians, floats_ms, with_products = (timing.median_ms for timing in report.timings)
    medians = [*medians[:-1], min(medians[-1], with_products), floats_ms]
    ratios = (f"{each / medians[0]:.2f}x" for each in medians[1:])
    with TemporaryDirectory() as folder:
        compiled, source = Path(folder) / "integers.so", Path(folder) / "floats.onnx"
        ours[0].save(compiled)
        gp.save(floats, source)
        share = compiled.stat().st_size / source.stat().st_size
    return f"| {name} | {pattern or 'dense'} | {medians[0]:.2f} | {' | '.join(ratios)} | {share:.2f} |"


def _without_gemms(model: ir.Model, threads: int) -> OnnxRuntimeSession:
    """ONNX Runtime's products of integers for a MatMul and the Add behind it, of which it makes a Gemm of floats."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    proto = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(
        proto, options, providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulAddFusion"]
    )
    return OnnxRuntimeSession(session)


def main() -> None:
    """Measure, and print every row as soon as it is there."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.integers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL[@PATTERN]", default=DEFAULT)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each side")
    options = parser.parse_args()
    print(f"| model | zeros | ms | over {' | over '.join(SIDES[1:4])} | bytes |\n|---|---|---|---|---|---|---|")
    for text in options.models:
        print(measure(text, options.threads, options.runs), flush=True)
    print(f"\n{read_environment()}")


if __name__ == "__main__":
    main()
