"""Deliberate faults in the package: how many of them the tests beside it notice, and which they do not.

    python -m tools.mutate graphprune/passes/fold_batch_norm.py graphprune/masks [--faults 40] [--seed 0]

Each path is an area of which so many faults are drawn; the same ones again as long as their lines stay as they are. A
fault is one changed operator, comparison, number or condition of one module, made by cosmic-ray in a copy of the tree
(`pip install -e '.[mutation]'`). It is judged by the tests that mirror the module: `graphprune/a/b.py` by
`tests/a/test_b.py` and `tests/a/test_b_*.py`, or else by all in the nearest folder that there is, as `tests/a`. What
survives is printed as it is found, and a table of all areas at the end.

A fault that changes nothing anybody could see survives rightly. Those that were looked at are in
`tools/equivalent_faults.toml`, each with its reason, and are counted apart.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec

from tools.forked_tests import import_libraries, passes

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tools" / "equivalent_faults.toml"

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

SLOWER = 5
"""Tests that take so many times as long as without a fault count as having noticed."""


class Fault(NamedTuple):
    """What was changed in the lines of a module, without their indentation."""

    module: str
    line: str
    becomes: str


class Outcome(Enum):
    """What became of a fault."""

    CAUGHT = "caught"
    EQUIVALENT = "equivalent"
    SURVIVED = "survived"


class Verdict(NamedTuple):
    """A fault, where it was made, and what became of it."""

    fault: Fault
    at: int
    outcome: Outcome


def modules(path: Path) -> list[Path]:
    """The modules at a path, relative to the root."""
    found = path.rglob("*.py") if path.is_dir() else [path]
    return sorted(each.resolve().relative_to(ROOT) for each in found if each.name != "__init__.py")


def mirrored_tests(module: Path) -> tuple[Path, ...]:
    """The tests that mirror a module: the files that are named after it, or the nearest folder that there is."""
    mirrored = Path("tests", *module.parts[1:])
    exact = mirrored.with_name(f"test_{mirrored.name}")
    if (ROOT / exact).exists():
        parts = (ROOT / exact.parent).glob(f"{exact.stem}_*.py")
        return (*sorted(part.relative_to(ROOT) for part in parts), exact)
    return (next(folder for folder in mirrored.parents if (ROOT / folder).is_dir()),)


def faults(path: Path, most: int, seed: int) -> list[MutationSpec]:
    """At most so many faults of an area, drawn at random.

    A fault is drawn by the text of its line, so that changes elsewhere leave the others drawn.
    """
    seen: Counter[str] = Counter()
    drawn: dict[str, MutationSpec] = {}
    for spec in _all_faults(modules(path)):
        row, column = spec.start_pos
        text = f"{seed} {spec.module_path} {spec.operator_name} {column} {_lines(spec.module_path)[row - 1]}"
        drawn[hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()] = spec
        seen[text] += 1
    return sorted((drawn[key] for key in sorted(drawn)[:most]), key=lambda spec: (spec.module_path, spec.start_pos))


def _all_faults(found: Sequence[Path]) -> Iterator[MutationSpec]:
    with tempfile.TemporaryDirectory() as folder:
        database = WorkDB(str(Path(folder) / "work.sqlite"), WorkDB.Mode.create)
        init(found, database, {})
        specs = [item.mutations[0] for item in database.work_items]
        database.close()
    yield from (spec for spec in specs if spec.operator_name in OPERATORS and not _guards(spec))


def _guards(spec: MutationSpec) -> bool:
    """Whether it changes what only mistakes of others meet: `frozen` of a class, `strict` of a zip."""
    row, column = spec.start_pos
    line: str = _lines(spec.module_path)[row - 1]
    return line.lstrip().startswith("@") or line[:column].endswith("strict=")


@cache
def _lines(module: Path) -> list[str]:
    return (ROOT / module).read_text(encoding="utf-8").splitlines()


def equivalent() -> dict[Fault, str]:
    """The faults that are known to change nothing, and why."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("fault", [])
    return {Fault(each["module"], each["line"], each["becomes"]): each["why"] for each in entries}


def judge(spec: MutationSpec) -> Verdict:
    """Make the fault in this process's copy of the tree, and run the tests."""
    tests = mirrored_tests(spec.module_path)
    seconds = SLOWER * _seconds(tests)
    operator = get_operator(spec.operator_name)(**spec.operator_args)
    with use_mutation(spec.module_path, operator, spec.occurrence) as (right, wrong):
        fault = _fault(spec.module_path, right, wrong)
        survives = passes(tests, _folders(), seconds)
    if not survives:
        return Verdict(fault, spec.start_pos[0], Outcome.CAUGHT)
    return Verdict(fault, spec.start_pos[0], Outcome.EQUIVALENT if fault in equivalent() else Outcome.SURVIVED)


@cache
def _seconds(tests: tuple[Path, ...]) -> float:
    """How long tests take without a fault, which they must pass."""
    start = time.monotonic()
    if not passes(tests, _folders(), None):
        raise RuntimeError(f"{', '.join(map(str, tests))} fail without a fault")
    return time.monotonic() - start


def _folders() -> tuple[Path, Path]:
    return Path.cwd(), Path.cwd() / "runtime"


def _fault(module: Path, right: str, wrong: str) -> Fault:
    changed = list(difflib.ndiff(right.splitlines(), wrong.splitlines()))
    parts = (" ".join(line[2:].strip() for line in changed if line.startswith(sign)) for sign in ("- ", "+ "))
    return Fault(module.as_posix(), *parts)


def _go_to_a_copy(folder: str) -> None:
    copy = Path(folder) / str(os.getpid())
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607
    for name in filter(None, files.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, _folders()))
    import_libraries()


@contextmanager
def judges(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that each have a copy of the tree, and nothing of the package imported."""
    fresh = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, fresh, _go_to_a_copy, (folder,)) as pool,
    ):
        yield pool


def table(areas: Mapping[Path, Sequence[Verdict]]) -> Iterator[str]:
    """The lines of a Markdown table; the share is of the faults that change something."""
    yield "| area | faults | caught | equivalent | survived | share caught |"
    yield "|---|---|---|---|---|---|"
    for path, verdicts in areas.items():
        counts = Counter(verdict.outcome for verdict in verdicts)
        caught, same, survived = (counts[outcome] for outcome in Outcome)
        share = f"{caught / max(1, caught + survived):.0%}"
        yield f"| `{path.as_posix()}` | {len(verdicts)} | {caught} | {same} | {survived} | {share} |"


def report(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Print what survives as it is found; return all."""
    judged = []
    for verdict in verdicts:
        judged.append(verdict)
        if verdict.outcome is Outcome.SURVIVED:
            fault = verdict.fault
            _print(f"{fault.module}:{verdict.at}: survived\n- {fault.line}\n+ {fault.becomes}")
    return judged


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Judge, and print what survived and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="modules or folders of the package, each an area")
    parser.add_argument("--faults", type=int, default=40, help="of each area at most (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faults (default 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (default: all processors)")
    options = parser.parse_args()
    os.chdir(ROOT)
    with judges(options.processes) as pool:
        judged = {path: report(pool.map(judge, faults(path, options.faults, options.seed))) for path in options.paths}
    _print("\n".join(table(judged)))


if __name__ == "__main__":
    main()
