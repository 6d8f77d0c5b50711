"""Deliberate faults in the package: how many of them the tests beside it notice, and which they do not.

    python -m tools.mutate graphprune/verification graphprune/passes/fold_batch_norm.py [--faults 30] [--seed 0]

Each fault is one changed operator, comparison, number or condition of one module, made by cosmic-ray in a copy of the
tree (`pip install -e '.[mutation]'`). It is judged by the tests that mirror the module: `graphprune/a/b.py` by
`tests/a/test_b.py`, or else by all in the nearest folder that there is, as `tests/a`. A fault that changes nothing
anybody could see survives rightly: look at each.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]

SWAPS = {
    "ReplaceBinaryOperator": ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul"),
    "ReplaceComparisonOperator": (
        *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
        *("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_GtE", "Gt_LtE"),
    ),
    "ReplaceUnaryOperator": ("Delete_Not", "Delete_USub"),
}
SINGLE = (
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop"),
)
OPERATORS = frozenset(f"core/{kind}_{swap}" for kind, swaps in SWAPS.items() for swap in swaps) | {
    f"core/{name}" for name in SINGLE
}
"""The faults that somebody might make; of replacing an operator by any other most are noticed by anything."""

SECONDS = 600
"""Until tests that do not end count as having noticed."""


class Verdict(NamedTuple):
    """What became of one fault."""

    module: Path
    noticed: bool
    diff: str


def modules(paths: Iterable[Path]) -> list[Path]:
    """The modules at these paths, relative to the root."""
    found = (path.rglob("*.py") if path.is_dir() else [path] for path in paths)
    return sorted(path.resolve().relative_to(ROOT) for group in found for path in group if path.name != "__init__.py")


def mirrored_tests(module: Path) -> Path:
    """The tests that mirror a module: the nearest file or folder that there is."""
    mirrored = Path("tests", *module.parts[1:])
    exact = mirrored.with_name(f"test_{mirrored.name}")
    if (ROOT / exact).exists():
        return exact
    return next(folder for folder in mirrored.parents if (ROOT / folder).is_dir())


def faults(module: Path, most: int, seed: int) -> list[MutationSpec]:
    """At most so many faults of a module, drawn at random."""
    with tempfile.TemporaryDirectory() as folder:
        database = WorkDB(str(Path(folder) / "work.sqlite"), WorkDB.Mode.create)
        init([module], database, {})
        specs = [item.mutations[0] for item in database.work_items if item.mutations[0].operator_name in OPERATORS]
        database.close()
    return random.Random(seed).sample(specs, min(most, len(specs)))  # noqa: S311 - a sample, no secret


def judge(spec: MutationSpec) -> Verdict:
    """Make the fault in this process's copy of the tree, and run the tests."""
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider {mirrored_tests(spec.module_path)}"
    result = mutate_and_test([spec], command, SECONDS)
    return Verdict(spec.module_path, result.test_outcome != TestOutcome.SURVIVED, result.diff or "")


def _go_to_a_copy(folder: str) -> None:
    copy = Path(folder) / str(os.getpid())
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607
    for name in filter(None, files.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(copy), str(copy / "runtime")])


@contextmanager
def judges(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that each have a copy of the tree."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, initializer=_go_to_a_copy, initargs=(folder,)) as pool,
    ):
        yield pool


def main() -> None:
    """Judge, and print what survived and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="modules or folders of the package")
    parser.add_argument("--faults", type=int, default=30, help="of each module at most (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faults (default 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (default: all processors)")
    options = parser.parse_args()
    chosen = modules(options.paths)
    specs = [spec for module in chosen for spec in faults(module, options.faults, options.seed)]
    console = Console()
    with judges(options.processes) as pool:
        verdicts = list(track(pool.map(judge, specs), "Judging", len(specs), console=Console(stderr=True)))
    for verdict in verdicts:
        if not verdict.noticed:
            console.print(verdict.diff, markup=False, highlight=False, soft_wrap=True)
    for module in (*chosen, None):
        about = [verdict.noticed for verdict in verdicts if module in (None, verdict.module)]
        if about:
            console.print(f"{module or 'all'}: {sum(about)} of {len(about)} noticed ({sum(about) / len(about):.0%})")


if __name__ == "__main__":
    main()
