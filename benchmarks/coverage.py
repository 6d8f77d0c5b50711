"""What can be pruned in whole channels, on every architecture: found, removed, equal, and beside other tools.

    python -m benchmarks.coverage [MODEL ...] [--markdown docs/coverage.md]

Each model is pruned by 30% and by 50% of the channels of every group and folded; what is left must be equal to the
masked model in ONNX Runtime (optimisations off). onnxsim and Torch-Pruning are asked for half of the channels where
they are installed. Exits with 1 where a model is not equal, or a zero channel stays.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from benchmarks.coverage_peers import left_by_onnxsim, left_by_torch_pruning
from graphprune.analysis.channels import ChannelSlice, channel_layout
from graphprune.analysis.cost import batch_of_one, model_cost
from graphprune.backends.onnxruntime import session_for
from graphprune.diagnostics import Skip
from graphprune.passes import FoldChannels, FoldConstants, PruneChannels
from graphprune.passes.base import run_pass
from graphprune.planning.planner import plan
from graphprune.planning.recipe import Recipe
from graphprune.testing import models
from graphprune.testing.models.structures import STRUCTURES

SHARES = (0.3, 0.5)
RTOL = 1e-5
"""Of the largest output, as for every pass that only changes the order of sums; ten times that for deep networks."""
COLUMNS = (
    "model", "groups", "channels", "prunable", "left at 30%", "work", "left at 50%", "work", "equal", "blocked",
    "onnxsim", "Torch-Pruning",
)  # fmt: skip
DEFAULT = [*STRUCTURES, *(name for name in models.names() if not name.endswith("_tiny") and name != "demo")]


@dataclass(frozen=True)
class Row:
    """What was found on one model; shares of parameters and multiply-accumulates that are left, a share."""

    model: str
    groups: int
    channels: int
    removable: float
    left: list[tuple[float, float | None]]
    error: float
    blocked: list[Skip]
    onnxsim: str
    torch_pruning: str

    @property
    def is_equal(self) -> bool:
        """Whether the folded models are the masked ones."""
        return self.error <= 10 * RTOL

    def markdown(self) -> str:
        """The row of the table."""
        left = " | ".join(
            f"{parameters:.2f} | {'?' if macs is None else f'{macs:.2f}'}" for parameters, macs in self.left
        )
        codes = ", ".join(f"{code} x{count}" for code, count in Counter(s.code for s in self.blocked).items())
        return (
            f"| {self.model} | {self.groups} | {self.channels} | {self.removable:.0%} | {left} | "
            f"{'yes' if self.is_equal else 'NO'} ({self.error:.0e}) | {codes} | {self.onnxsim} | {self.torch_pruning} |"
        )


def check(name: str) -> Row:
    """Prune one model and measure what is left."""
    model = run_pass(FoldConstants(), models.build(name)).model
    layout = channel_layout(model)
    feed = models.random_feed(model, 0)
    left, errors = [], []
    for share in SHARES:
        masked = run_pass(PruneChannels(plan(model, Recipe(sparsity=share, pattern="channel"))), model).model
        result = run_pass(FoldChannels(), masked)
        if result.skips:
            raise SystemExit(f"{name}: zero channels stay: {[str(skip) for skip in result.skips]}")
        errors.append(_error(masked, result.model, feed))
        left.append(_left(model, result.model))
    removable = sum(_elements(model, each) for group in layout.groups for each in group.producers)
    ignored = {skip.node.removesuffix(".weight") for skip in layout.skips if skip.code == "GP370"}
    module = STRUCTURES[name]() if name in STRUCTURES else None
    return Row(
        name,
        len(layout.groups),
        sum(group.size for group in layout.groups),
        removable / model_cost(model).parameters,
        left,
        max(errors),
        list(layout.skips),
        left_by_onnxsim(model),
        "-" if module is None else left_by_torch_pruning(module[0].eval(), module[1], ignored),
    )


def _elements(model: ir.Model, each: ChannelSlice) -> float:
    """How many numbers of a weight lie in these channels."""
    tensor = model.graph.initializers[each.name].const_value
    assert tensor is not None
    return tensor.size * each.indices().size / tensor.shape.numpy()[each.axis]


def _left(before: ir.Model, after: ir.Model) -> tuple[float, float | None]:
    old, new = (model_cost(model, batch_of_one(model)) for model in (before, after))
    macs = None if old.macs is None or new.macs is None else new.macs / old.macs
    return new.parameters / old.parameters, macs


def _error(masked: ir.Model, folded: ir.Model, feed: dict[str, np.ndarray]) -> float:
    """The largest difference over the largest output."""
    expected, found = (session_for(model, optimize=False).run(None, feed) for model in (masked, folded))
    return max(
        float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True)
    )


def page(rows: list[Row]) -> str:
    """The tables as a page."""
    lines = [
        "# Coverage of channel pruning",
        "",
        "Measured by `python -m benchmarks.coverage` on one random input. Every group of channels is pruned by 30% and",
        "by 50% and folded. *Prunable* is the share of parameters in weights whose output channels can be removed;",
        "*left* and *work* are shares of parameters and of multiply-accumulates; *equal* has the largest difference to",
        "the masked model over the largest output, in ONNX Runtime with optimisations off. onnxsim and Torch-Pruning",
        "are asked for half of the channels of the same model: share of parameters left, or what they raised.",
        "Torch-Pruning leaves the statistics of norms to the channels that stay, which is another function, and takes",
        "some of the channels of each group of a grouped convolution, where whole groups go here.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + "---|" * len(COLUMNS),
        *(row.markdown() for row in rows),
        "",
        "## What is blocked",
        "",
    ]
    for row in rows:
        lines += [f"* {row.model}", *(f"  * {skip}" for skip in row.blocked)]
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=DEFAULT)
    parser.add_argument("--markdown", type=Path, help="Also write the tables to this file.")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    for name in arguments.models:
        rows.append(check(name))
        print(rows[-1].markdown(), flush=True)
    if arguments.markdown:
        arguments.markdown.write_text(page(rows), encoding="utf-8")
    return int(not all(row.is_equal for row in rows))


if __name__ == "__main__":
    sys.exit(main())
