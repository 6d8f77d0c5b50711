"""One peer in a process of its own, run as `python -m benchmarks.peers.worker JOB`, JOB being JSON of `Job`'s fields.

It opens the model, runs it once, saves the outputs, and prints a line of JSON: the peer's `version`, or the `reason`
why it could not. Then it answers every line of its input with the seconds of one run. It is run by the peer's own
Python, so it imports nothing but NumPy and the opener's module.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, TextIO

import numpy as np

if TYPE_CHECKING:
    from benchmarks.peers.openers import Run


@dataclass(frozen=True)
class Job:
    """What a worker is to do.

    Attributes:
        opener: A function such as those of `openers`, as `module:function`.
        distribution: The package whose version is told.
        model: The file to open.
        feed: An `.npz` file of the inputs by name.
        outputs: The `.npz` file to write the outputs to, in order.
        threads: How many threads a run uses.
    """

    opener: str
    distribution: str
    model: str
    feed: str
    outputs: str
    threads: int


def main() -> None:
    """Open, then run whenever asked."""
    answers = _answers()
    job = Job(**json.loads(sys.argv[1]))
    try:
        run = _open(job)
        answer = {"version": metadata.version(job.distribution)}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is the reason
        answers.write(json.dumps({"reason": _one_line(error)}) + "\n")
        return
    answers.write(json.dumps(answer) + "\n")
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        answers.write(f"{time.perf_counter() - start}\n")


def _answers() -> TextIO:
    """The standard output by lines, kept from the peer: what that prints goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _open(job: Job) -> Run:
    module, _, function = job.opener.partition(":")
    with np.load(job.feed) as arrays:
        feed = dict(arrays)
    run: Run = getattr(importlib.import_module(module), function)(job.model, feed, job.threads)
    np.savez(job.outputs, *run())
    return run


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if not line.startswith("Exception from")), "no message")  # as OpenVINO begins
    return f"{type(error).__name__}: {said}"


if __name__ == "__main__":
    main()
