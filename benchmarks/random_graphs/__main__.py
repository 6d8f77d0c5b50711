"""Random graphs, each beside ONNX Runtime without optimisations.

    python -m benchmarks.random_graphs --cases 20000 --seed 1 [--keep FOLDER] [--first N]
    python -m benchmarks.random_graphs channels --cases 20000 --seed 1

The first makes graphs of all operators, opsets and element types that `compile` and `to_torch` know, and runs them
through both. The second folds masked channels; it shrinks a failure and prints it. What fails is a file in the folder,
with its inputs and what is expected, and belongs into the tests as one of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.fuzz.memory import temporary_files_in_memory
from benchmarks.random_graphs.channels import fold_channels
from benchmarks.random_graphs.operators import run_operators


def main() -> None:
    """Run, and print what there was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", default="operators", choices=["operators", "channels"], help="of graphs")
    parser.add_argument("--cases", type=int, default=20_000, help="random graphs (default 20000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other graphs (default 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first graph (default 0)")
    parser.add_argument("--keep", type=Path, default=Path("random_graphs"), help="folder for what fails")
    options = parser.parse_args()
    if options.kind == "channels":
        fold_channels(options.cases, options.seed)
        return
    with temporary_files_in_memory() as folder:
        run_operators(range(options.first, options.first + options.cases), options.seed, options.keep, folder)


if __name__ == "__main__":
    main()
