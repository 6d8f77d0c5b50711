"""The operator cases that come with `onnx`, each compiled and run through the TVM backend.

    python benchmarks/onnx_cases.py [OPERATOR ...] [--workers 2] [--json OUT.json] [--markdown docs/operators.md]

Prints, for each operator, how many of its cases pass, are refused by name, or fail; and the share in all. An operator
counts as supported if none of its cases fails and at least one passes. Exits with 1 if a case fails. Takes some 15
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import onnx_ir as ir

import graphprune as gp
from graphprune.backends.tvm.rewrites.prepare import FALLBACK
from graphprune.testing.onnx_cases import DISPUTED, WITHOUT_DATA, Case, Outcome, Verdict, by_operator, cases, run_case
from graphprune_runtime.interface import Session


def compile_case(model: ir.Model) -> Session:
    """As a user compiles."""
    return gp.compile(model)


@cache
def all_cases() -> list[Case]:
    """The cases, computed once a process."""
    return cases()


def run_number(number: int) -> Outcome:
    """Run one case by its place in the list, so that no data goes between processes."""
    return run_case(all_cases()[number], compile_case)


def share(outcomes: Sequence[Outcome]) -> str:
    """A line that counts verdicts."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    ran = counts[Verdict.PASSED] + counts[Verdict.FAILED]
    passed = 100 * counts[Verdict.PASSED] / ran if ran else 0.0
    return (
        f"{len(outcomes)} cases: {counts[Verdict.PASSED]} passed, {counts[Verdict.REFUSED]} refused by name, "
        f"{counts[Verdict.FAILED]} failed; {passed:.1f}% of those not refused pass"
    )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table of operators as a page."""
    groups = by_operator(outcomes)
    supported = [
        name
        for name, rows in groups.items()
        if any(row.verdict is Verdict.PASSED for row in rows) and not any(row.verdict is Verdict.FAILED for row in rows)
    ]
    lines = [
        "# Operators",
        "",
        "What the TVM backend lowers, by the operator cases that come with `onnx`. Made by",
        "`python benchmarks/onnx_cases.py --markdown docs/operators.md`.",
        "",
        f"{share(outcomes)}. {len(supported)} operators are supported: some of their cases pass and none fails.",
        "A refused case names the node and the reason; those of an operator are summed up by their first reason.",
        "Operands that say what shape the outputs have (axes, sizes) are constants of the compiled models; data is",
        "an input. Of these operators nothing is data, so their cases are computed while compiling:",
        f"{', '.join(sorted(WITHOUT_DATA))}.",
        f"Where onnx and ONNX Runtime disagree, ONNX Runtime is right here: {', '.join(sorted(DISPUTED))}.",
        "",
        "Arithmetic of floats rounds, overflows and gives NaN as IEEE 754 says, operator by operator, also where",
        "these are fused. Integers wrap; divided by zero they give 0, and so does the remainder, as in NumPy: ONNX",
        "Runtime ends the run there.",
        "",
        "| operator | cases | passed | refused | first reason |",
        "|---|---|---|---|---|",
    ]
    for name, rows in groups.items():
        counts = Counter(row.verdict for row in rows)
        reason = next((row.reason for row in rows if row.verdict is not Verdict.PASSED), None) or ""
        cells = [
            name,
            len(rows),
            counts[Verdict.PASSED],
            counts[Verdict.REFUSED],
            reason.replace("|", "/").replace(f" ({FALLBACK})", "")[:160],
        ]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", help="only these operators")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write every outcome here")
    parser.add_argument("--markdown", type=Path, help="also write the table as a page here")
    options = parser.parse_args()
    wanted = set(options.operators)
    numbers = [i for i, case in enumerate(all_cases()) if not wanted or case.operator in wanted]
    with ProcessPoolExecutor(options.workers) as pool:
        outcomes = list(pool.map(run_number, numbers, chunksize=8))
    for name, rows in by_operator(outcomes).items():
        print(f"{name}: {share(rows)}")
        for row in rows:
            if row.verdict is Verdict.FAILED:
                print(f"  {row.case}: {row.reason}")
    print(share(outcomes))
    if options.json:
        records = [{"case": o.case, "verdict": o.verdict.value, "reason": o.reason} for o in outcomes]
        options.json.write_text(json.dumps(records, indent=1))
    if options.markdown:
        options.markdown.write_text(markdown(outcomes))
    return int(any(outcome.verdict is Verdict.FAILED for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
