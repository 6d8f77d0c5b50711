"""What happens to sessions in services: each case here once gave wrong results, hung, leaked, or ended the process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import graphprune as gp
from graphprune_runtime import CompiledSession, load_session
from graphprune_runtime.errors import BackendError, InputError
from graphprune_runtime.file import CompiledFile
from tests.backends.tvm.graphs import compile_, parse, pruned
from tests.runtime.example import X, make

ROOT = Path(__file__).resolve().parents[2]


def system_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def threads_go_down_to(count: int) -> bool:
    """Whether they do within some seconds: the system may still list a thread that Python has already joined."""
    deadline = time.monotonic() + 5
    while system_threads() > count and time.monotonic() < deadline:
        time.sleep(0.01)
    return system_threads() <= count


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def test_another_model_at_the_same_path_is_another_model(tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    found = []
    for function in ("Relu", "Neg", "Relu"):
        make(function).save(path)
        found.append(load_session(path).run(["y"], {"x": X})[0])
    np.testing.assert_array_equal(found[0], np.maximum(-found[1], 0))
    np.testing.assert_array_equal(found[0], found[2])


def test_a_file_is_replaced_while_sessions_use_it(tmp_path: Path, expected: np.ndarray) -> None:
    path = tmp_path / "m.so"
    make("Relu").save(path)
    before = load_session(path, 2)
    make("Neg").save(path)  # writes another file and renames it
    np.testing.assert_array_equal(before.run(["y"], {"x": X})[0], expected)
    before.save(tmp_path / "copy.so")
    np.testing.assert_array_equal(load_session(tmp_path / "copy.so").run(["y"], {"x": X})[0], expected)
    path.unlink()
    np.testing.assert_array_equal(before.run(["y"], {"x": X})[0], expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_never_the_sessions_memory(model: Path, threads: int) -> None:
    """Those that are inputs or views of them too, while other threads run other feeds."""
    session = load_session(model, threads)

    def work(seed: int) -> bool:
        x = np.random.default_rng(seed).standard_normal(X.shape).astype(np.float32)
        kept = [session.run(["same", "flat"], {"x": x}) for _ in range(20)]
        return all(
            np.array_equal(same, x) and np.array_equal(flat, x.reshape(16, 400)) and not np.shares_memory(same, x)
            for same, flat in kept
        )

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))


def test_threads_that_load_and_compile_leave_standard_error_alone(model: Path) -> None:
    before, seen, stop = os.fstat(2), set(), threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(os.fstat(2).st_ino)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load_session(model), range(60)))
        list(pool.map(lambda _: compile_(parse("g (float[3] x) => (float[3] y) { y = Relu (x) }")), range(4)))
    stop.set()
    watcher.join()
    assert seen == {before.st_ino}


def test_threads_that_end_give_everything_back(model: Path, expected: np.ndarray) -> None:
    session = load_session(model, 2)
    results: list[np.ndarray] = []

    def work() -> None:
        with pytest.raises(InputError):
            session.run(None, {"x": X[0]})
        results[:] = session.run(["y"], {"x": X})

    for number in range(120):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if number == 20:
            before, memory = system_threads(), resident_mb()
    np.testing.assert_array_equal(results[0], expected)
    assert threads_go_down_to(before)
    assert resident_mb() - memory < 2


def test_a_child_that_is_forked_after_a_run_runs(model: Path, expected: np.ndarray) -> None:
    session = load_session(model, 2)
    session.run(None, {"x": X})

    def work() -> None:
        y = session.run(["y"], {"x": X})[0]
        other = load_session(model, 2).run(["y"], {"x": X})[0]
        os._exit(0 if np.array_equal(y, expected) and np.array_equal(other, expected) else 1)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(20)
    hangs = child.is_alive()
    child.kill()
    assert not hangs
    assert child.exitcode == 0
    np.testing.assert_array_equal(session.run(["y"], {"x": X})[0], expected)


def test_a_child_that_is_forked_while_others_run_runs(model: Path, expected: np.ndarray) -> None:
    session, stop = load_session(model, 2), threading.Event()

    def keep_running() -> None:
        while not stop.is_set():
            session.run(None, {"x": X})

    threads = [threading.Thread(target=keep_running) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes = [fork_and_run(session, expected) for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    assert codes == [0] * 10


def fork_and_run(session: CompiledSession, expected: np.ndarray) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(session.run(["y"], {"x": X})[0], expected) else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


def test_loading_and_dropping_costs_nothing(model: Path, expected: np.ndarray) -> None:
    for number in range(150):
        y = load_session(model, 2).run(["y"], {"x": X})[0]
        if number == 50:
            gc.collect()
            memory, opened, threads = resident_mb(), descriptors(), system_threads()
    gc.collect()
    np.testing.assert_array_equal(y, expected)
    assert resident_mb() - memory < 2
    assert descriptors() == opened
    assert threads_go_down_to(threads)


def test_a_closed_session(model: Path, tmp_path: Path) -> None:
    before = descriptors()
    with load_session(model, 2) as session:
        session.run(None, {"x": X})
    session.close()
    assert (
        descriptors() <= before + 1
    )  # the code of the first session with threads stays loaded: its pool is everybody's
    for use in (lambda: session.run(None, {"x": X}), lambda: session.save(tmp_path / "m.so")):
        with pytest.raises(BackendError, match=r"the session is closed \[GP418\]"):
            use()


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file, cut or with bits flipped."""
    for share in (0, 0.01, 0.03, 0.05, 0.1, 0.3, 0.6, 0.9, 0.999):
        yield f"cut at {share}", content[: int(len(content) * share)]
    chance = random.Random(0)  # noqa: S311 - no secret
    for number in range(60):
        changed = bytearray(content)
        for _ in range(1 if number % 2 else 64):
            changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield f"flips {number}", bytes(changed)
    for at in range(-64, 0):  # the footer
        changed = bytearray(content)
        changed[at] ^= 16
        yield f"footer {at}", bytes(changed)


def test_damaged_files_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.so"
    for what, content in damaged(model.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(BackendError) as caught:
            load_session(path, 2).run(None, {"x": X})
        assert caught.value.code in ("GP408", "GP409", "GP410"), what
        assert str(path) in str(caught.value), what


def test_offsets_that_lead_outside_are_found_without_the_checksum(tmp_path: Path) -> None:
    text = "g (float[40,64] x) => (float[40,48] y) { y = MatMul (x, w) }"
    session = gp.compile(parse(text, {"w": pruned(64, 48, zeros=0.9)}))
    session.save(tmp_path / "m.so")
    content, found = (tmp_path / "m.so").read_bytes(), 0
    with (tmp_path / "m.so").open("rb") as file:
        footer = CompiledFile.read(file, "it").footer
    start = footer.code_bytes + footer.weights_bytes
    for at in range(start - min(2000, footer.weights_bytes), start, 2):
        changed = bytearray(content)
        changed[at : at + 2] = b"\xff\x7f"
        (tmp_path / "d.so").write_bytes(changed)
        with pytest.raises(BackendError, match="the checksum of its weights differs"):
            load_session(tmp_path / "d.so")
        try:
            load_session(tmp_path / "d.so", check=False)
        except BackendError as error:
            assert "an offset among the weights leads outside [GP410]" in str(error)  # noqa: PT017
            found += 1
    assert found > 50


def test_without_standard_error(model: Path) -> None:
    code = f"""
import os, sys
os.close(2)
sys.stderr = None
import numpy as np
from graphprune_runtime import load_session
y = load_session({str(model)!r}, 2).run(["y"], {{"x": np.zeros({X.shape}, np.float32)}})[0]
print(y.shape)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "(1, 24, 20, 20)\n"


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "inspect": lambda model: ["inspect", str(model)],
    "run": lambda model: ["run", str(model), "--threads", "2"],
}


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_with_closed_streams(command: str, closed: str, model: Path) -> None:
    line = " ".join([sys.executable, "-m", "graphprune", *COMMANDS[command](model), closed])
    assert subprocess.run(["sh", "-c", line], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
    missing = f"{sys.executable} -m graphprune {command} nothing.so {closed}"
    assert subprocess.run(["sh", "-c", missing], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 2


def test_a_session_is_closed_while_others_run(model: Path) -> None:
    for _ in range(30):
        session = load_session(model, 2)
        ended: list[str | None] = []

        def work(session: CompiledSession = session, ended: list[str | None] = ended) -> None:
            try:
                while True:
                    session.run(None, {"x": X})
            except BackendError as error:
                ended.append(error.code)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        session.close()
        for thread in threads:
            thread.join()
        assert ended == ["GP418"] * 3
