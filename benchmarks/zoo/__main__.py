"""The benchmark of record: some forty architectures with zeros, beside ONNX Runtime and OpenVINO on the dense file.

    python -m benchmarks.zoo [MODEL ...] [--column 0% 90% ...] [--rival onnxruntime ...] [--threads 1] [--runs 15]
                             [--json FILE.json] [--markdown docs/zoo.md] [--picture docs/pictures/zoo.svg]

Each side runs in a process of its own; they take turns on the same processors. Ratios are ONNX Runtime's time over
ours. Outputs of a pruned file are held to ONNX Runtime's of that file, without optimisations. With `--json` what was
measured is kept as it comes, and a later call measures only the models that are named, or that are not there yet.
A picture needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from benchmarks.peers.measure import measure
from benchmarks.zoo.picture import draw
from benchmarks.zoo.results import Row, read, write
from benchmarks.zoo.sides import MODELS, PATTERNS, RIVALS, sides
from benchmarks.zoo.table import footnotes, heading, line, refusals, summary
from graphprune.measuring.environment import read_environment
from graphprune.testing import models


def main() -> None:
    """Measure, and print every row as soon as it is there."""
    options = _options()
    logging.disable(logging.WARNING)
    rows = read(options.json) if options.json else {}
    print(*heading(), sep="\n")
    for name in options.models or [name for name in MODELS if name not in rows]:
        outcomes = measure(models.build(name), sides(options.column, options.rival), options.threads, options.runs)
        rows[name] = Row(name, read_environment(), options.threads, outcomes)
        print(line(rows[name]), flush=True)
        if options.json:
            write(rows.values(), options.json)
    found = list(rows.values())
    print(*["", *summary(found), "", footnotes(found)], sep="\n")
    if options.markdown:
        options.markdown.write_text(page(found), encoding="utf-8")
    if options.picture:
        draw(found, options.picture)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--column", nargs="+", choices=PATTERNS, default=list(PATTERNS))
    parser.add_argument("--rival", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=15, help="timed runs of each side")
    parser.add_argument("--json", type=Path, help="keep the rows here, and go on from those that are there")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--picture", type=Path, help="also draw the ratios to this SVG file")
    return parser.parse_args()


def page(rows: list[Row]) -> str:
    """The tables as a page."""
    lines = [
        "# Some forty architectures",
        "",
        "Measured by `python -m benchmarks.zoo`: float32, one input, batch 1, seeded random weights; every prunable",
        "weight has the share of zeros of the column (by magnitude, each layer alike), as far as it can be pruned.",
        "ONNX Runtime and OpenVINO run the dense file. Columns with `x` are ONNX Runtime's time over ours.",
        "",
        "![ratios of all models, sorted](pictures/zoo.svg)",
        "",
        *summary(rows),
        "",
        *heading(),
        *(line(row) for row in rows),
        "",
        *refusals(rows),
        "",
        footnotes(rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
