"""Damaged and strange files: each runs as in ONNX Runtime, or is refused in one line; none ends or stops the process.

    python -m benchmarks.fuzz --cases 100000 --seed 1 [--keep FOLDER]

The operator cases that come with `onnx` are changed at random, in their bytes and in the fields of their protocol
buffers. Files that show a defect are kept: each belongs into `tests/bad_input` as a test of its own.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from random import Random

import onnx_ir as ir
from rich.console import Console
from rich.progress import track

from benchmarks.fuzz.changes import changed
from benchmarks.fuzz.memory import temporary_files_in_memory
from benchmarks.fuzz.trial import DEFECTS, Outcome, warm_up
from benchmarks.fuzz.worker import Worker
from graphprune.testing.onnx_cases import cases, freeze

MOST_BYTES = 20_000

OFTEN = 1_000
"""Files between two lines that say what there was so far."""


def seeds() -> list[bytes]:
    """The small ones of the operator cases, as files."""
    models = (freeze(case, case.data[0][0])[0] for case in cases() if case.data)
    files = (ir.to_proto(model).SerializeToString() for model in models)
    return [file for file in files if len(file) <= MOST_BYTES]


def main() -> None:
    """Run, keep the files with a defect, and print what there was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="changed files (default 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default 0)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder for files that show a defect")
    options = parser.parse_args()
    with temporary_files_in_memory():
        try_files(options)


def try_files(options: argparse.Namespace) -> None:
    """Try as many changed files as are asked for, and print how many there were of each verdict."""
    random, files = Random(options.seed), seeds()  # noqa: S311 - changes need no secrecy
    warm_up(files[0])
    counts: Counter[str] = Counter()
    worker = Worker()
    for number in track(range(options.cases), "Trying", console=Console(stderr=True)):
        data = changed(random.choice(files), random)
        outcome = worker.attempt(data)
        counts[outcome.verdict] += 1
        if outcome.verdict in DEFECTS:
            keep(options.keep / f"{options.seed}-{number}.onnx", data, outcome)
        if (number + 1) % OFTEN == 0 or number + 1 == options.cases:
            summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
            print(f"{number + 1} files: {summary}", flush=True)
    worker.close()


def keep(path: Path, data: bytes, outcome: Outcome) -> None:
    """Write a file that shows a defect, and say which."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    console = Console()
    console.print(f"{path}: {outcome.verdict}: {outcome.detail}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
