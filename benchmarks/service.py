"""Compiled models in a service: many threads, many runs, many files, forks, and processes that are killed.

    python -m benchmarks.service                  # everything, some ten minutes
    python -m benchmarks.service threads fork     # some of it
    python -m benchmarks.service --share 0.1      # a tenth of the runs

Each line says what was done, how many results were wrong, and what grew. Every result is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

import graphprune as gp
from graphprune.measuring.environment import read_environment
from graphprune_runtime import CompiledSession

INPUTS = 32
DENSITY = 0.2
WARM_UPS = 1000
FIRST = 100
"""Loads, forks and threads before memory is looked at."""

MOST_GROWN_MB = 2
KEPT = 8
"""Results that a thread keeps before it compares them: a later run must leave them alone."""


@dataclass
class Model:
    """A compiled file, some inputs, and what it gives for each."""

    path: Path
    feeds: list[dict[str, np.ndarray]]
    expected: list[np.ndarray]

    def is_right(self, number: int, found: np.ndarray) -> bool:
        """Whether this is the result for input `number`."""
        return bool(np.array_equal(found, self.expected[number % INPUTS]))


def make_model(folder: Path, seed: int, threads: int = 2) -> Model:
    """A small convolutional model of its own weights, compiled, and its results, which ONNX Runtime shares."""
    rng = np.random.default_rng(seed)
    text = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[1,16,24,24] x) => (float[1,24,24,24] y, float[1,16,24,24] same) {
        c = Conv <pads = [1,1,1,1]> (x, w) y = Relu (c) same = Identity (x) }"""
    proto = onnx.parser.parse_model(text)
    weight = rng.standard_normal((24, 16, 3, 3)).astype(np.float32) * (rng.random((24, 16, 3, 3)) < DENSITY)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    model = ir.from_proto(proto)
    session = gp.compile(model, threads=threads)
    path = folder / f"model{seed}.so"
    session.save(path)
    feeds = [{"x": rng.standard_normal((1, 16, 24, 24)).astype(np.float32)} for _ in range(INPUTS)]
    expected = [session.run(["y"], feed)[0] for feed in feeds]
    reference = gp.compile(model, backend="onnxruntime")
    for feed, found in zip(feeds, expected, strict=True):
        np.testing.assert_allclose(found, reference.run(["y"], feed)[0], rtol=1e-4, atol=1e-4)
    return Model(path, feeds, expected)


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def system_threads() -> int:
    """Threads of this process, as the system counts them."""
    return len(list(Path("/proc/self/task").iterdir()))


@dataclass
class Lines:
    """What is printed, and whether all was well."""

    failed: list[str] = field(default_factory=list)

    def add(self, what: str, wrong: int, grown: str = "", *, well: bool = True) -> None:
        """Print a line."""
        if wrong or not well:
            self.failed.append(what)
        print(f"| {what} | {wrong} wrong | {grown} | {'ok' if not wrong and well else 'FAILED'} |", flush=True)


def run_threads(folder: Path, share: float, lines: Lines) -> None:
    """One session, eight threads, different inputs; results are kept for a while before they are compared."""
    model, runs = make_model(folder, 1), int(5000 * share)
    session = gp.load_session(model.path, threads=2)

    def work(first: int) -> int:
        wrong, kept = 0, []
        for number in range(first, first + runs):
            kept.append((number, session.run(None, model.feeds[number % INPUTS])))
            if len(kept) == KEPT:
                wrong += sum(
                    not (model.is_right(n, y) and np.array_equal(same, model.feeds[n % INPUTS]["x"]))
                    for n, (y, same) in kept
                )
                kept.clear()
        return wrong

    with ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(work, range(8)))
    lines.add(f"one session, 8 threads x {runs} runs, each on two threads", wrong)


def run_long(folder: Path, share: float, lines: Lines) -> None:
    """Runs one after another; memory after the first thousand."""
    model, runs = make_model(folder, 2), int(100_000 * share)
    session = gp.load_session(model.path, threads=2)
    wrong, before = 0, 0.0
    for number in range(runs + WARM_UPS):
        wrong += not model.is_right(number, session.run(["y"], model.feeds[number % INPUTS])[0])
        if number == WARM_UPS:
            before = resident_mb()
    grown = resident_mb() - before
    lines.add(f"{runs} runs one after another", wrong, f"{grown:+.1f} MB", well=grown < MOST_GROWN_MB)


def load_and_drop(folder: Path, share: float, lines: Lines) -> None:
    """Load, run and drop: different files, and one path that is rewritten each time."""
    models, rounds = [make_model(folder, seed) for seed in range(10, 14)], int(1000 * share)
    one_path = folder / "one.so"
    for what in ("different files", "one path that is replaced each time"):
        wrong, before, opened = 0, 0.0, 0
        for number in range(rounds + FIRST):
            if number == FIRST:
                before, opened = resident_mb(), descriptors()
            model = models[number % len(models)]
            path = model.path
            if what.startswith("one"):
                path = one_path
                (folder / "new.so").write_bytes(model.path.read_bytes())
                (folder / "new.so").replace(one_path)
            wrong += not model.is_right(0, gp.load_session(path, threads=2).run(["y"], model.feeds[0])[0])
        grown, left = resident_mb() - before, descriptors() - opened
        well = grown < MOST_GROWN_MB and left == 0
        lines.add(f"{rounds} x load, run, drop: {what}", wrong, f"{grown:+.1f} MB, {left:+d} descriptors", well=well)


def fork_after_use(folder: Path, share: float, lines: Lines) -> None:
    """Fork after a run on two threads; the child runs on two threads too."""
    model, rounds = make_model(folder, 3), max(1, int(200 * share))
    session = gp.load_session(model.path, threads=2)
    wrong = 0
    context = multiprocessing.get_context("fork")
    for number in range(rounds):
        wrong += not model.is_right(number, session.run(["y"], model.feeds[number % INPUTS])[0])
        child = context.Process(target=_check_and_leave, args=(session, model, number))
        child.start()
        child.join(20)
        wrong += child.exitcode != 0
        if child.is_alive():
            child.kill()
    lines.add(f"{rounds} forks after a run on two threads", wrong)


def _check_and_leave(session: CompiledSession, model: Model, number: int) -> None:
    right = all(model.is_right(n, session.run(["y"], model.feeds[n % INPUTS])[0]) for n in range(number, number + 3))
    os._exit(0 if right else 1)


def short_lived_threads(folder: Path, share: float, lines: Lines) -> None:
    """Threads that run once and end, with wrong feeds in between."""
    model, rounds = make_model(folder, 4), int(2000 * share)
    session = gp.load_session(model.path, threads=2)
    wrong: list[int] = []

    def work(number: int) -> None:
        if number % 5 == 0:
            try:
                session.run(None, {"x": np.zeros(3, np.float32)})
            except gp.GraphPruneError:
                pass
            else:
                wrong.append(number)
        if not model.is_right(number, session.run(["y"], model.feeds[number % INPUTS])[0]):
            wrong.append(number)

    before, threads = 0.0, 0
    for number in range(rounds + FIRST):
        if number == FIRST:
            before, threads = resident_mb(), system_threads()
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join()
    grown, left = resident_mb() - before, system_threads() - threads
    what = f"{rounds} threads that run once on two threads and end, every fifth with an error"
    lines.add(what, len(wrong), f"{grown:+.1f} MB, {left:+d} threads", well=left == 0 and grown < MOST_GROWN_MB)


def in_asyncio(folder: Path, share: float, lines: Lines) -> None:
    """Runs in an event loop's executor."""
    model, rounds = make_model(folder, 5), int(5000 * share)
    session = gp.load_session(model.path, threads=2)

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            results = await asyncio.gather(
                *(loop.run_in_executor(pool, session.run, ["y"], model.feeds[n % INPUTS]) for n in range(rounds))
            )
        return sum(not model.is_right(n, y) for n, (y,) in enumerate(results))

    lines.add(f"{rounds} runs in an asyncio executor of 8", asyncio.run(serve()))


COMMANDS = {
    "prune": ["prune", "{source}", "{target}"],
    "fold": ["prune", "{source}", "{target}", "--pattern", "channel", "--sparsity", "0.5"],
    "pack": ["pack", "{source}", "{target}"],
    "compile": ["compile", "{source}", "{target}"],
}


def kill_commands(folder: Path, share: float, lines: Lines) -> None:
    """Kill commands at random moments: the file is the earlier or the new one, whole, and nothing else stays."""
    from graphprune.testing import models

    source = folder / "source.onnx"
    gp.save(models.build("demo"), source)
    rounds, chance = max(1, int(50 * share)), random.Random(0)  # noqa: S311 - moments need no secrecy
    for name, form in COMMANDS.items():
        target = folder / name / f"target{'.so' if name == 'compile' else '.onnx'}"
        target.parent.mkdir()
        command = [sys.executable, "-m", "graphprune", *(part.format(source=source, target=target) for part in form)]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        whole, seconds = target.read_bytes(), time.perf_counter() - start
        wrong = 0
        for number in range(rounds):
            target.write_bytes(earlier := f"earlier {number}".encode())
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 1.1 * seconds))
            process.send_signal(signal.SIGKILL)
            process.wait()
            content = target.read_bytes()
            wrong += content != earlier and not _is_same(name, content, whole)
        subprocess.run(command, check=True, capture_output=True)  # what was left behind goes with the next run
        left = [path for path in target.parent.iterdir() if path != target]
        lines.add(f"{name} killed at {rounds} moments", wrong, f"{len(left)} files left", well=not left)


def _is_same(name: str, content: bytes, whole: bytes) -> bool:
    """Whether this is the new file; compiled ones hold the date."""
    return len(content) == len(whole) if name == "compile" else content == whole


PARTS: dict[str, Callable[[Path, float, Lines], None]] = {
    "threads": run_threads,
    "long": run_long,
    "load": load_and_drop,
    "fork": fork_after_use,
    "short": short_lived_threads,
    "asyncio": in_asyncio,
    "kill": kill_commands,
}


def main() -> None:
    """Run and print; exit 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Compiled models in a service.")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--share", type=float, default=1.0, help="of the runs that are made")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    environment = read_environment()
    print(f"{environment.cpu}, {os.cpu_count()} processors, {environment.versions}, commit {environment.commit}")
    lines = Lines()
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder), options.share, lines)
    sys.exit(bool(lines.failed))


if __name__ == "__main__":
    main()
