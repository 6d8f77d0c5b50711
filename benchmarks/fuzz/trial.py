"""One file: loaded, compiled, run, and compared with ONNX Runtime."""

from __future__ import annotations

import math
import sys
import tempfile
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

import graphprune as gp
from graphprune.backends.onnxruntime import session_for_file
from graphprune.cli.errors import name_error
from graphprune.errors import GraphPruneError
from graphprune.verification.feeds import random_feed

LONGEST = 300
"""Characters of an error."""

ERROR = 1e-2
"""Of the largest output: changed files have values of any size, this is no test of rounding."""


REST = 1e-6
"""What rounding leaves of numbers of about one that cancel."""

ENDLESS = 1e37
"""Larger numbers are infinite in another order of products; and the least float32 masks what minus infinity does."""


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


def outcome_of(data: bytes, path: Path, say: Callable[[Outcome], None]) -> Outcome:
    """Try the bytes of a file, put at `path`; `say` is told what it is unless this process lives to say more."""
    try:
        path.write_bytes(data)
        return _run(path, say)
    except GraphPruneError as error:
        return _refusal(error)
    except BaseException:  # noqa: BLE001 - whatever else is raised is a defect
        return Outcome(Verdict.INTERNAL, traceback.format_exc().strip().splitlines()[-1][:LONGEST] + _where())


def _where() -> str:
    frames = [f for f in traceback.extract_tb(sys.exc_info()[2]) if "graphprune" in f.filename]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _refusal(error: GraphPruneError) -> Outcome:
    text = str(error)
    readable = "\n" not in text and len(text) <= LONGEST and error.code
    return Outcome(Verdict.REFUSED if readable else Verdict.UNREADABLE, error.code or text[:LONGEST])


def _run(path: Path, say: Callable[[Outcome], None]) -> Outcome:
    model = gp.load(path)
    session = gp.compile(model)
    try:
        feed = random_feed(session.get_inputs(), 0)
    except MemoryError as error:  # inputs that no run of it could hold
        return _refusal(name_error(error))
    results = session.run(None, feed)
    say(Outcome(Verdict.ALONE, "ONNX Runtime does not end, or ends the process"))
    try:
        expected = session_for_file(path, optimize=False).run(None, feed)
    except GraphPruneError as error:
        return Outcome(Verdict.ALONE, str(error)[:LONGEST])
    if any(each is None for each in expected):
        return Outcome(Verdict.ALONE, "ONNX Runtime leaves out an output")
    if (reason := why_undetermined(model)) is not None:
        return Outcome(Verdict.ALONE, reason)
    wrong = [n for n, (a, b) in enumerate(zip(results, expected, strict=True)) if not _is_equal(a, b)]
    return Outcome(Verdict.DIFFERENT, f"output {wrong[0]}") if wrong else Outcome(Verdict.EQUAL)


def why_undetermined(model: ir.Model) -> str | None:
    """Why any result, or any order of one, is right, or None."""
    for node in model.graph.all_nodes():
        if node.op_type == "TopK" and node.attributes.get_int("sorted", 1) == 0:
            return "the order of what it finds is not said"
        if any(
            each.type == ir.AttributeType.FLOAT and math.isnan(each.as_float()) for each in node.attributes.values()
        ):
            return "an attribute is NaN"
    return None


def _is_equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind != "f":
        return bool(np.array_equal(ours, theirs))
    a, b = (
        np.where(np.abs(x) >= ENDLESS, np.sign(x) * np.inf, x)
        for x in (ours.astype(np.float64), theirs.astype(np.float64))
    )
    size = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return bool(np.allclose(a, b, rtol=ERROR, atol=max(ERROR * size, REST), equal_nan=True))
