import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.process import PeerError, Process
from benchmarks.peers.worker import Job
from tests.benchmarks.peers.fakes import fake


@contextmanager
def opened(opener: str, folder: Path) -> Iterator[Process]:
    np.savez(folder / "feed.npz", x=np.arange(3.0))
    peer = fake(opener)
    job = Job(peer.opener, "numpy", "model.onnx", str(folder / "feed.npz"), str(folder / "outputs.npz"), 3)
    process = Process(peer, job)
    yield process
    process.close()


def is_stopped(pid: int) -> bool:
    """Whether it is within a second: a signal takes a moment."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG):
            return True
    return False


def test_a_run_is_timed_where_it_happens(tmp_path: Path) -> None:
    with opened("sleeper", tmp_path) as process:
        assert 0.02 <= process.run() < 0.5
        assert 0.02 <= process.run() < 0.5
        assert process.version == metadata.version("numpy")


def test_the_outputs_of_the_first_run_are_kept(tmp_path: Path) -> None:
    with opened("sleeper", tmp_path), np.load(tmp_path / "outputs.npz") as outputs:
        doubled, threads = outputs.values()
    assert doubled.tolist() == [0, 2, 4]
    assert threads == 3


def test_a_process_stands_still_between_its_runs(tmp_path: Path) -> None:
    with opened("sleeper", tmp_path) as process:
        process.run()
        assert is_stopped(process._process.pid)


def test_a_peer_that_refuses_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"^ValueError: no operator Foo$"), opened("refuser", tmp_path):
        pass


def test_a_peer_that_ends_leaves_its_last_words(tmp_path: Path) -> None:
    with opened("faller", tmp_path) as process:
        process.run()
        with pytest.raises(PeerError, match=r"^ended with 7: out of cheese$"):
            process.run()


def test_an_opener_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"^AttributeError: .*nobody"), opened("nobody", tmp_path):
        pass
