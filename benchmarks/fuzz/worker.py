"""A forked process that tries one file after another, within limits on time and memory; a new one where it dies.

Forking takes longer than refusing most files does. What looks like a defect is therefore tried once more, in a process
that did nothing before.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import tempfile
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from benchmarks.fuzz.trial import DEFECTS, Outcome, Verdict, outcome_of

SECONDS, MOST_BYTES = 60, 4 << 30
"""Of one file, and of the data of the process."""

MOST_FILES = 5_000
"""That one process tries, so that it stays small."""


class Worker:
    """Gives files to a process, which is forked when one is needed."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process, self._tried = 0, 0

    def attempt(self, data: bytes) -> Outcome:
        """Try the bytes of a file; a defect counts if a new process shows one, too."""
        if self._tried == MOST_FILES:
            self.close()
        is_new = not self._tried
        outcome = self._try(data)
        if outcome.verdict in DEFECTS and not is_new:
            self.close()
            outcome = self._try(data)
        return outcome

    def close(self) -> int:
        """End the process, if there is one, by ending what it reads; its exit code."""
        process, self._process, self._tried = self._process, 0, 0
        if not process:
            return 0
        self._pipe.close()
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def _try(self, data: bytes) -> Outcome:
        if not self._process:
            self._start()
        self._tried += 1
        said, ended = None, False
        try:
            self._pipe.send_bytes(data)
            while not ended:
                ended, verdict, detail = json.loads(self._pipe.recv_bytes())
                said = Outcome(Verdict(verdict), detail)
        except (EOFError, OSError):
            return said or _death(self.close())
        assert said
        return said

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        self._process = os.fork()
        if not self._process:
            self._pipe.close()
            _serve(theirs)
        theirs.close()


def _death(code: int) -> Outcome:
    return Outcome(Verdict.HANGS) if code == -signal.SIGALRM else Outcome(Verdict.KILLED, str(code))


def _serve(pipe: Connection) -> NoReturn:
    """Try what comes, until nothing does."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)

    def say(outcome: Outcome, *, ended: bool) -> None:
        pipe.send_bytes(json.dumps([ended, *outcome]).encode())

    try:
        with tempfile.TemporaryDirectory() as folder:
            while True:
                data = pipe.recv_bytes()
                signal.alarm(SECONDS)
                outcome = outcome_of(data, Path(folder) / "m.onnx", partial(say, ended=False))
                signal.alarm(0)
                say(outcome, ended=True)
    except BaseException:  # noqa: BLE001 - the end of the files, or nobody is left to tell
        os._exit(0)
