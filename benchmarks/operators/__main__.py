"""Every operator that the TVM backend lowers, one by one, beside ONNX Runtime.

    python -m benchmarks.operators [NAME ...] [--threads 1] [--over 1.5] [--markdown docs/operator-speed.md]

A NAME is an operator or a kind of them. Both sides run the same model of one node in turns in one process, ONNX Runtime
with all optimisations; times are medians. Prints what is slower than `--over` times ONNX Runtime's time, worst first;
exits with 1 if outputs differ. Takes some ten minutes.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from benchmarks.operators.case import Case
from benchmarks.operators.cases import KINDS
from benchmarks.operators.measure import measure
from benchmarks.operators.table import HEADING, line, page, summary, worst_first
from graphprune.measuring.environment import read_environment


def chosen(names: list[str]) -> list[Case]:
    """The cases of these operators and kinds; all of them without a name."""
    return [
        case for kind, cases in KINDS.items() for case in cases if not names or kind in names or case.operator in names
    ]


def main() -> None:
    """Measure, and print what is slow."""
    options = _options()
    logging.disable(logging.WARNING)
    environment = read_environment()
    print(f"{environment.cpu}, {options.threads} thread(s), {environment.versions}, commit {environment.commit}")
    rows = []
    for case in chosen(options.names):
        rows.append(measure(case, options.threads))
        print(line(rows[-1]), file=sys.stderr, flush=True)
    slow = [row for row in worst_first(rows) if row.ratio is None or row.is_wrong or row.ratio > options.over]
    print("\n".join([summary(rows, options.over), HEADING, *map(line, slow)]))
    if options.markdown:
        options.markdown.write_text(page(rows, environment, options.threads, options.over))
    sys.exit(1 if any(row.is_wrong for row in rows) else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operators", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"operators, or of {', '.join(KINDS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--over", type=float, default=1.5, help="the ratio from which on a case is printed at the end")
    parser.add_argument("--markdown", type=Path, help="write the whole table here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
