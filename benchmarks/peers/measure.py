"""One file on every peer, in turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

import graphprune as gp
from benchmarks.peers.peers import Peer
from benchmarks.peers.process import PeerError, Process
from benchmarks.peers.results import Outcome
from benchmarks.peers.worker import Job
from graphprune.backends.onnxruntime import session_for_file
from graphprune.errors import GraphPruneError
from graphprune.measuring.environment import pinned
from graphprune.verification.feeds import random_feed

WARM_UP = 3
"""Turns that do not count."""

SECONDS = 20.0
"""Of timed runs, after which a peer gets no further turn."""

FEED = "feed.npz"

LONG = 1.0
"""Seconds of a run that no longer feels what was in the caches before it."""


def measure(model: ir.Model, peers: Iterable[Peer], threads: int, runs: int) -> dict[str, Outcome]:
    """Outcomes by the peer's name: the same file and inputs, on the same `threads` processors, one run at a time.

    Times are medians of `runs` runs, or of fewer where they take longer than `SECONDS`.
    """
    with tempfile.TemporaryDirectory(prefix="graphprune-") as name, ExitStack() as stack:
        folder = Path(name)
        expected = _write(model, folder)
        sides = {}
        for peer in peers:
            sides[peer.name] = side = _open(peer, model, folder, threads, expected)
            if side.process is not None:
                stack.callback(side.process.close)
        with pinned(threads):
            take_turns(list(sides.values()), runs)
    return {name: side.outcome() for name, side in sides.items()}


@dataclass
class Side:
    """A peer that has opened the file, or the reason why it could not, and the seconds of its runs."""

    process: Process | None
    error: float | None = None
    reason: str | None = None
    times: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """Run and take the time; of short runs that of a second one, as others had the caches before the first."""
        if self.process is None or self.reason is not None or sum(self.times) > SECONDS:
            return
        try:
            seconds = self.process.run()
            self.times.append(self.process.run() if seconds < LONG else seconds)
        except PeerError as error:
            self.reason = error.message

    def outcome(self) -> Outcome:
        """What came of it, without the first turns unless there were no more."""
        if self.process is None or self.reason is not None:
            return Outcome(reason=self.reason)
        counted = self.times[WARM_UP:] or self.times
        return Outcome(1e3 * statistics.median(counted), len(counted), self.error, self.process.version)


def take_turns(sides: Sequence[Side], runs: int) -> None:
    """Let every side run `runs` times after `WARM_UP`, every other round backwards."""
    for turn in range(WARM_UP + runs):
        for side in sides if turn % 2 == 0 else reversed(sides):
            side.take_turn()


def relative_error(given: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference over the largest number expected, of all outputs; infinite where they do not compare."""
    if [array.shape for array in given] != [array.shape for array in expected]:
        return float("inf")
    errors = [np.abs(left - right).max() / np.abs(right).max() for left, right in zip(given, expected, strict=True)]
    return max(float(error) if np.isfinite(error) else float("inf") for error in errors)


def _write(model: ir.Model, folder: Path) -> list[np.ndarray]:
    """Write the model and its inputs; return what ONNX Runtime makes of them, with every optimisation off."""
    gp.save(model, folder / "model.onnx")
    np.savez(folder / FEED, **random_feed(model))  # type: ignore[arg-type] # its stub takes any name for an option
    return _expected(folder / "model.onnx", folder)


def _expected(path: Path, folder: Path) -> list[np.ndarray]:
    with np.load(folder / FEED) as feed:
        return session_for_file(path, optimize=False).run(None, dict(feed))


def _compiled(path: Path, threads: int) -> Path:
    """Compile a file for this machine, on all of its processors."""
    compiled = path.with_suffix(".so")
    gp.compile(gp.load(path), threads=threads).save(compiled)
    return compiled


def _open(peer: Peer, model: ir.Model, folder: Path, threads: int, expected: Sequence[np.ndarray]) -> Side:
    path, outputs = folder / "model.onnx", folder / f"{peer.name}.npz"
    try:
        if peer.form is not None:
            path = folder / f"{peer.name}.onnx"
            gp.save(peer.form(model), path)
            expected = _expected(path, folder) if peer.is_pruned else expected
        if peer.is_compiled:
            path = _compiled(path, threads)
        job = Job(peer.opener, peer.distribution, str(path), str(folder / FEED), str(outputs), threads)
        with pinned(threads):
            process = Process(peer, job)
    except GraphPruneError as error:
        return Side(None, reason=error.message)
    with np.load(outputs) as arrays:
        return Side(process, relative_error(list(arrays.values()), expected))
