"""Pruned models of integers beside their floats: graphprune and ONNX Runtime on both files, in turns in one process.

    python -m benchmarks.integers [MODEL[@PATTERN] ...] [--threads 1] [--runs 20]

PATTERN is as `block 1x4@0.8` (runs of 4 input channels) or `unstructured@0.9`. Integers are `graphprune.quantize`'s,
of ranges from two random inputs: unsigned activations, signed weights of a scale for each output, as ONNX Runtime's
kernels want them. Prints medians, ratios over ours of integers, and the bytes of its compiled file over those of the
floats' ONNX file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import graphprune as gp
from benchmarks.patterns import pruned
from graphprune.backends.onnxruntime import session_for
from graphprune.measuring.environment import pinned, read_environment
from graphprune.testing import models

DEFAULT = (
    *("resnet50", "resnet50@block 1x4@0.8", "resnet50@unstructured@0.9"),
    *("mobilenet_v1", "mobilenet_v1@block 1x4@0.8"),
    *("bert_base", "bert_base@block 1x4@0.8", "bert_base@unstructured@0.9"),
)
SIDES = ("graphprune int8", "graphprune float32", "ONNX Runtime int8", "ONNX Runtime float32")
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
        sides = dict(zip(SIDES, (*ours, *rivals), strict=True))
        report = gp.bench(sides, models.random_feed(floats, 0), threads, runs)
    medians = [timing.median_ms for timing in report.timings]
    ratios = (f"{each / medians[0]:.2f}x" for each in medians[1:])
    with TemporaryDirectory() as folder:
        compiled, source = Path(folder) / "integers.so", Path(folder) / "floats.onnx"
        ours[0].save(compiled)
        gp.save(floats, source)
        share = compiled.stat().st_size / source.stat().st_size
    return f"| {name} | {pattern or 'dense'} | {medians[0]:.2f} | {' | '.join(ratios)} | {share:.2f} |"


def main() -> None:
    """Measure, and print every row as soon as it is there."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.integers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL[@PATTERN]", default=DEFAULT)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20, help="timed runs of each side")
    options = parser.parse_args()
    print(f"| model | zeros | ms | over {' | over '.join(SIDES[1:])} | bytes |\n|---|---|---|---|---|---|---|")
    for text in options.models:
        print(measure(text, options.threads, options.runs), flush=True)
    print(f"\n{read_environment()}")


if __name__ == "__main__":
    main()
