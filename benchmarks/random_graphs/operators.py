"""Groups of random graphs of all operators, each group in a process of its own, which may die."""

from __future__ import annotations

import json
import os
import resource
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from rich.console import Console

from benchmarks.random_graphs.draft import Draft
from benchmarks.random_graphs.growing import grow, known_operators
from benchmarks.random_graphs.templates import templates
from benchmarks.random_graphs.together import feed_of, together
from benchmarks.random_graphs.trial import BACKENDS, attempt
from graphprune.frontends.well_formed import OLDEST_OPSET

GROUP = 24
"""Graphs that are compiled as one model."""

OFTEN = 10
"""Groups between two lines that say how far it is."""


class Result(NamedTuple):
    """What became of one graph in one backend."""

    backend: str
    graph: int
    verdict: str
    detail: str


def run_operators(numbers: range, seed: int, keep: Path, folder: Path) -> None:
    """Make the graphs of these numbers, run them, keep what fails, and print what there was."""
    _warm_up(folder)
    console, counts = Console(soft_wrap=True, markup=False, highlight=False), Counter[tuple[str, str]]()
    starts = range(numbers.start, numbers.stop, GROUP)
    for index, start in enumerate(starts, 1):
        for result in _try_group(range(start, min(start + GROUP, numbers.stop)), seed, keep, folder):
            counts[result.backend, result.verdict] += 1
            if result.verdict != "equal" and not result.verdict.startswith("refused"):
                console.print(f"{result.backend} {keep / _name(seed, result.graph)}: {result.verdict}: {result.detail}")
        if index % OFTEN == 0 or index == len(starts):
            console.print(f"{min(start + GROUP, numbers.stop) - numbers.start} graphs: {_summary(counts)}")


def _warm_up(folder: Path) -> None:
    """Load here what every forked process would load again; torch's threads would not be there."""
    torch.set_num_threads(1)
    templates()
    known_operators()
    drafts = [grow("g0", OLDEST_OPSET, np.random.default_rng(0))]
    for run in BACKENDS.values():
        list(attempt(drafts, run, folder / "m.onnx"))


def _summary(counts: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{backend} {verdict} {count}" for (backend, verdict), count in sorted(counts.items()))


MOST_BYTES = 9 << 30
"""Of memory: a node that is drawn may ask ONNX Runtime for any amount, and is left out then."""


def _name(seed: int, graph: int) -> str:
    return f"{seed}-{graph}"


def _try_group(numbers: range, seed: int, keep: Path, folder: Path) -> list[Result]:
    """The results of a group; where its process dies, of each graph alone."""
    results = _in_process(numbers, seed, keep, folder)
    if results is not None:
        return results
    if len(numbers) == 1:
        return [Result("both", numbers[0], "killed", "the process ended")]
    return [result for number in numbers for result in _try_group(range(number, number + 1), seed, keep, folder)]


def _in_process(numbers: range, seed: int, keep: Path, folder: Path) -> list[Result] | None:
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        with os.fdopen(writes, "w") as pipe:
            json.dump(list(_results(numbers, seed, keep, folder)), pipe)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if code else [Result(*each) for each in json.loads(text)]


def _results(numbers: range, seed: int, keep: Path, folder: Path) -> Iterator[Result]:
    warnings.simplefilter("ignore")  # of NumPy and torch, about overflows
    drafts = draft_group(numbers, seed)
    for backend, run in BACKENDS.items():
        for finding in attempt(drafts, run, folder / "m.onnx"):
            number = int(finding.draft.name[1:])
            yield Result(backend, number, finding.verdict, finding.detail)
            if finding.verdict in {"different", "error"}:
                _keep(finding.draft, keep / _name(seed, number))


def draft_group(numbers: range, seed: int) -> Sequence[Draft]:
    """The graphs of these numbers; those of one group have one opset."""
    newest = onnx.defs.onnx_opset_version()
    opset = int(np.random.default_rng([seed, numbers.start // GROUP]).integers(OLDEST_OPSET, newest + 1))
    return [grow(f"g{number}", opset, np.random.default_rng([seed, number])) for number in numbers]


def _keep(draft: Draft, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".onnx").write_bytes(together([draft]).SerializeToString())
    arrays: dict[str, Any] = {**feed_of([draft]), **{value.name: value.array for value in draft.outputs()}}
    np.savez(path.with_suffix(".npz"), **arrays)
