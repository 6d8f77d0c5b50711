"""A peer's process as its parent sees it: it runs when told to, and stands still otherwise."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers.environments import python_of
from benchmarks.peers.peers import Peer
from benchmarks.peers.worker import Job
from graphprune.errors import GraphPruneError

ROOT = Path(__file__).parents[2]
LONGEST_REASON = 160


class PeerError(GraphPruneError):
    """A peer that cannot take a model, in one line."""


class Process:
    """A worker that has opened its model; `version` is the peer's. It must be closed.

    It stays on the processors of the thread that makes it. Between its runs it is stopped, threads and all, so that
    nothing of it can spin while another one runs.

    Raises:
        PeerError: the peer does not take the model, or its process ended.
    """

    version: str

    def __init__(self, peer: Peer, job: Job) -> None:
        python = python_of(peer)
        self._log = Path(f"{job.outputs}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter of an environment of ours
                [python, "-m", "benchmarks.peers.worker", json.dumps(asdict(job))],
                cwd=ROOT, env={**os.environ, **peer.variables}, text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        answer = json.loads(self._answer())
        if "reason" in answer:
            self.close()
            raise PeerError(answer["reason"][:LONGEST_REASON])
        self.version = answer["version"]
        self._process.send_signal(signal.SIGSTOP)

    def run(self) -> float:
        """The seconds of one run.

        Raises:
            PeerError: the process ended.
        """
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write("run\n")
        seconds = float(self._answer())
        self._process.send_signal(signal.SIGSTOP)
        return seconds

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self.close()
            said = [text for text in self._log.read_text(errors="replace").splitlines() if text.strip()]
            raise PeerError(f"ended with {code}: {said[-1].strip() if said else 'no message'}"[:LONGEST_REASON])
        return line
