"""One file, given to a process of its own: loaded, compiled, run, and compared with ONNX Runtime."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

import graphprune as gp
from graphprune.backends.onnxruntime import session_for_file
from graphprune.errors import GraphPruneError
from graphprune.verification.feeds import random_feed

SECONDS, MOST_BYTES = 60, 4 << 30
LONGEST = 300
"""Characters of an error."""

ERROR = 1e-2
"""Of the largest output: changed files have values of any size, this is no test of rounding."""


class Verdict(StrEnum):
    """What became of a file; those from `DIFFERENT` on are defects."""

    EQUAL = "equal"
    ALONE = "runs, but not in ONNX Runtime"
    REFUSED = "refused"
    DIFFERENT = "different"
    UNREADABLE = "refused in more than a line, or without a code"
    INTERNAL = "internal error"
    KILLED = "killed by a signal"
    HANGS = "did not end"


DEFECTS = frozenset(Verdict) - {Verdict.EQUAL, Verdict.ALONE, Verdict.REFUSED}


class Outcome(NamedTuple):
    """A verdict, and what there is to say: the error's code, the exception, the signal."""

    verdict: Verdict
    detail: str = ""


def warm_up(data: bytes) -> None:
    """Load here what every forked process would load again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(data)
        session = gp.compile(gp.load(path))
        session_for_file(path).run(None, random_feed(session.get_inputs(), 0))


def attempt(data: bytes) -> Outcome:
    """Give the bytes of a file to a forked process with limits on time and memory."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        _in_child(data, writes)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        said = pipe.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if said:
        verdict, detail = json.loads(said[-1])
        return Outcome(Verdict(verdict), detail)
    return Outcome(Verdict.HANGS) if code == -signal.SIGALRM else Outcome(Verdict.KILLED, str(code))


def _in_child(data: bytes, writes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    signal.alarm(SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)

    def say(outcome: Outcome) -> None:
        os.write(writes, (json.dumps([outcome.verdict, outcome.detail]) + "\n").encode())

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            path.write_bytes(data)
            say(_run(path, say))
    except GraphPruneError as error:
        say(_refusal(error))
    except BaseException:  # noqa: BLE001 - whatever else is raised is a defect
        say(Outcome(Verdict.INTERNAL, traceback.format_exc().strip().splitlines()[-1][:LONGEST] + _where()))
    os._exit(0)


def _where() -> str:
    frames = [f for f in traceback.extract_tb(sys.exc_info()[2]) if "graphprune" in f.filename]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _refusal(error: GraphPruneError) -> Outcome:
    text = str(error)
    readable = "\n" not in text and len(text) <= LONGEST and error.code
    return Outcome(Verdict.REFUSED if readable else Verdict.UNREADABLE, error.code or text[:LONGEST])


def _run(path: Path, say: Callable[[Outcome], None]) -> Outcome:
    session = gp.compile(gp.load(path))
    feed = random_feed(session.get_inputs(), 0)
    results = session.run(None, feed)
    say(Outcome(Verdict.ALONE, "ONNX Runtime does not end, or ends the process"))
    try:
        expected = session_for_file(path, optimize=False).run(None, feed)
    except GraphPruneError as error:
        return Outcome(Verdict.ALONE, str(error)[:LONGEST])
    wrong = [n for n, (a, b) in enumerate(zip(results, expected, strict=True)) if not _is_equal(a, b)]
    return Outcome(Verdict.DIFFERENT, f"output {wrong[0]}") if wrong else Outcome(Verdict.EQUAL)


def _is_equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=ERROR, atol=ERROR * size, equal_nan=True))
