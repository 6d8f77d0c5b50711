"""Every real model of the project as a torch module: forward, gradients, and back to ONNX.

    python benchmarks/torch_models.py [MODEL ...] [--markdown docs/torch_models.md]

The forward is compared with ONNX Runtime (optimisations off) and with the same graph in float64, computed by the
reference evaluator of `onnx`; so is what `gp.from_torch` makes of the module. Errors are relative to the largest
output. A model passes if both are within 1e-5 of ONNX Runtime, or as close to float64 as ONNX Runtime is (within a
factor of 2), and if every parameter gets a finite gradient that is not all zero. Exits with 1 if a model fails. Takes
ten minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

import graphprune as gp
from graphprune.backends.onnxruntime import session_for
from graphprune.errors import GraphPruneError
from graphprune.passes.reference import reference_evaluator
from graphprune.testing import models
from graphprune.testing.float64 import as_float64, feed_as_float64

SMALL = ("demo", "resnet_tiny", "mobilenet_tiny", "bert_tiny", "vit_tiny")
TOLERANCE = 1e-5
CLOSE = 2.0
"""Two roundings of one function are as close to it if their errors are within this factor."""


Arrays = Sequence[np.ndarray]


@dataclass(frozen=True)
class Row:
    """What was measured on one model; errors are relative to the largest output."""

    model: str
    parameters: int
    reached: int
    to_runtime: float
    to_exact: float
    runtime_to_exact: float
    back_to_runtime: float
    back_to_exact: float

    @property
    def verdict(self) -> str:
        """`yes`, `as close`, or `NO`."""
        if self.reached < self.parameters:
            return "NO"
        if max(self.to_runtime, self.back_to_runtime) <= TOLERANCE:
            return "yes"
        return "as close" if max(self.to_exact, self.back_to_exact) <= CLOSE * self.runtime_to_exact else "NO"

    def markdown(self) -> str:
        """The row of the table."""
        errors = (self.to_runtime, self.to_exact, self.runtime_to_exact, self.back_to_runtime, self.back_to_exact)
        numbers = " | ".join(f"{error:.1e}" for error in errors)
        return f"| {self.model} | {self.verdict} | {self.reached} of {self.parameters} | {numbers} |"


def check(name: str) -> Row:
    """Measure one model."""
    model = models.build(name)
    feed = models.random_feed(model, 0)
    runtime = session_for(model, optimize=False).run(None, feed)
    exact = _in_float64(model, feed)
    module = gp.to_torch(model)
    inputs = tuple(torch.from_numpy(array) for array in feed.values())
    results = module(*inputs)
    found = results if isinstance(results, tuple) else (results,)
    reached = _reached(module, found)
    again = gp.from_torch(module, inputs)
    names = [str(value.name) for value in again.graph.inputs]
    back = session_for(again, optimize=False).run(None, dict(zip(names, feed.values(), strict=True)))
    ours = [result.detach().numpy() for result in found]
    return Row(
        name,
        len(list(module.parameters())),
        reached,
        _error(ours, runtime),
        _error(ours, exact),
        _error(runtime, exact),
        _error(back, runtime),
        _error(back, exact),
    )


def _in_float64(model: ir.Model, feed: dict[str, np.ndarray]) -> Arrays:
    results: Any = reference_evaluator(ir.to_proto(as_float64(model))).run(None, feed_as_float64(feed))
    return [np.asarray(result) for result in results]


def _reached(module: torch.nn.Module, results: Sequence[torch.Tensor]) -> int:
    """How many parameters get a finite gradient, not all zero, of a random sum of all results."""
    generator = torch.Generator().manual_seed(0)
    total = torch.stack([(result * torch.randn(result.shape, generator=generator)).sum() for result in results]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in module.parameters()]
    return sum(g is not None and bool(g.isfinite().all()) and bool(g.any()) for g in gradients)


def _error(found: Arrays, expected: Arrays) -> float:
    return max(
        float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True)
    )


def page(rows: Sequence[str]) -> str:
    """The table as a page."""
    lines = [
        "# Whole models in `to_torch`",
        "",
        "Measured by `benchmarks/torch_models.py` on one random input: the largest difference over the largest",
        "output. Runtime is ONNX Runtime with optimisations off; exact is the same graph in float64 by onnx's",
        "reference evaluator; back is the module exported again by `from_torch` and run by ONNX Runtime. A gradient",
        "counts if it is finite and not all zero. Equal is `yes` within 1e-5 of ONNX Runtime, and `as close` where",
        "torch's error to exact is at most twice that of ONNX Runtime itself.",
        "",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check all models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[name for name in models.names() if name not in SMALL])
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = [
        "| model | equal | gradients | torch, runtime | torch, exact | runtime, exact | back, runtime | back, exact |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print(*lines, sep="\n")
    failed = False
    for name in options.models:
        try:
            row = check(name)
            lines.append(row.markdown())
            failed |= row.verdict == "NO"
        except GraphPruneError as error:
            lines.append(f"| {name} | NO | {error} | | | | | |")
            failed = True
        print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text(page(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
