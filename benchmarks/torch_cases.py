"""The operator cases that come with `onnx`, each turned into a torch module and run.

    python benchmarks/torch_cases.py [OPERATOR ...] [--markdown docs/torch_operators.md]

Prints, for each operator, how many of its cases pass, are refused by name, or fail; exits with 1 if a case fails. An
operator counts as supported if none of its cases fails and at least one passes. Takes about a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch

import graphprune as gp
from graphprune.testing.onnx_cases import Outcome, Verdict, by_operator, cases, run_case


@dataclass(frozen=True)
class TorchSession:
    """A module with the call signature of a session."""

    module: torch.nn.Module
    names: tuple[str, ...]

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the outputs as arrays."""
        del output_names  # all of them
        with torch.no_grad():
            results = self.module(*(_tensor(feed[name]) for name in self.names))
        several = isinstance(results, tuple) and not all(isinstance(result, int) for result in results)
        return [_array(result) for result in (results if several else (results,))]


def session_of(model: ir.Model) -> TorchSession:
    """Turn a case into a session."""
    names = tuple(str(value.name) for value in model.graph.inputs if value.name not in model.graph.initializers)
    return TorchSession(gp.to_torch(model), names)


def _tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.array(array))


def _array(result: torch.Tensor | int | tuple[int, ...]) -> np.ndarray:
    if not isinstance(result, torch.Tensor):
        return np.asarray(result, np.int64)
    if result.dtype == torch.bfloat16:
        return result.float().numpy().astype(ml_dtypes.bfloat16)
    return np.asarray(result.numpy())


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table of operators as a page."""
    rows = []
    for name, group in by_operator(outcomes).items():
        counts = Counter(outcome.verdict for outcome in group)
        if counts[Verdict.PASSED]:
            rows.append(f"| {name} | {counts[Verdict.PASSED]} | {counts[Verdict.REFUSED]} | {counts[Verdict.FAILED]} |")
    lines = [
        "# Operators that `to_torch` turns into torch",
        "",
        "Counted on the operator cases of the `onnx` package by `benchmarks/torch_cases.py`.",
        f"{len(rows)} operators have passing cases. The other cases are refused by name.",
        "",
        "| operator | passed | refused | failed |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cases and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", metavar="OPERATOR")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    chosen = [case for case in cases() if not options.operators or case.operator in options.operators]
    outcomes = [run_case(case, session_of) for case in chosen]  # type: ignore[arg-type] # it runs, and need not be saved
    for name, group in by_operator(outcomes).items():
        counts = Counter(outcome.verdict for outcome in group)
        print(f"{name:32} {counts[Verdict.PASSED]:4} {counts[Verdict.REFUSED]:4} {counts[Verdict.FAILED]:4}")
        for outcome in group:
            if outcome.verdict is Verdict.FAILED:
                print(f"    {outcome.case}: {outcome.reason}")
    counts = Counter(outcome.verdict for outcome in outcomes)
    supported = sum(
        any(o.verdict is Verdict.PASSED for o in group) and not any(o.verdict is Verdict.FAILED for o in group)
        for group in by_operator(outcomes).values()
    )
    print(f"{len(outcomes)} cases: {dict(counts)}; {supported} operators supported")
    if options.markdown:
        options.markdown.write_text(markdown(outcomes))
    sys.exit(1 if counts[Verdict.FAILED] else 0)


if __name__ == "__main__":
    main()
