"""Kernels that are measured: each once, whatever lies in the cache folder, and the fastest is picked."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx_ir as ir
import pytest

from graphprune.backends.tvm.backend import make_tuner
from graphprune.backends.tvm.building import measurements, tuning
from graphprune.backends.tvm.building.measurements import Measurements
from graphprune.backends.tvm.building.tuning import EFFORTS, Emitted, Tune, Tuner
from graphprune.compiler.compile import compile as compile_model
from graphprune.errors import BackendError, InputError
from graphprune.targets.cpuinfo import CpuInfo
from graphprune.targets.target import TARGETS, resolve_target
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import assert_equal, parse, pruned


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "graphprune" / "kernels"


@pytest.fixture(scope="module")
def model() -> ir.Model:
    text = "g (float[1,32,12,12] x) => (float[1,24,12,12] y) { [conv] c = Conv (x, w, b) y = Relu (c) }"
    return parse(text, {"w": pruned(24, 32, 1, 1, zeros=0.5), "b": (24,)})


def tuned(model: ir.Model, tune: str = "quick", threads: int = 1) -> CompiledSession:
    session = compile_model(model, tune=tune, threads=threads)
    assert isinstance(session, CompiledSession)
    return session


@pytest.mark.parametrize("tune", ["quick", "full"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_result_is_the_same(model: ir.Model, tune: str, threads: int, folder: Path) -> None:
    session = tuned(model, tune, threads)
    assert_equal(session, model)
    (note,) = session.kernels
    assert set(note.eligible) == {"dense", "rows", "rows of 2", "rows of 4"}
    assert "; measured: " in note.why
    assert len(list(folder.iterdir())) == (4 if tune == "full" else note.why.count(" ms"))


@pytest.mark.parametrize("fastest", ["dense", "rows", "rows of 4"])
def test_the_fastest_is_picked(model: ir.Model, fastest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(_self: Tuner, kernel: str, _emit: Callable[[], Emitted], **_where: bool) -> float:
        return 1.0 if kernel.startswith(f"{fastest},") else 2.0

    monkeypatch.setattr(Tuner, "seconds", seconds)
    session = tuned(model, "full")
    assert [note.kernel for note in session.kernels] == [fastest]
    assert_equal(session, model)


def asked_for(model: ir.Model) -> list[tuple[str, Callable[[], Emitted]]]:
    """The kernels whose times are asked for, none of which runs."""
    found: list[tuple[str, Callable[[], Emitted]]] = []

    def seconds(_self: Tuner, kernel: str, emit: Callable[[], Emitted], **_where: bool) -> float:
        found.append((kernel, emit))
        return 1.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tuner, "seconds", seconds)
        tuned(model, "full")
    return found


def test_what_was_measured_is_remembered(model: ir.Model, folder: Path) -> None:
    first = tuned(model)
    before = {path: path.read_text() for path in folder.iterdir()}
    assert tuned(model).kernels == first.kernels
    assert {path: path.read_text() for path in folder.iterdir()} == before


def test_what_is_read_from_memory_is_measured_so_and_apart(
    model: ir.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, evictions = asked_for(model), list[int]()
    monkeypatch.setattr(tuning, "_fill_caches", lambda l3_bytes: lambda _: evictions.append(l3_bytes))
    tuner = make_tuner("quick", resolve_target("x86-64-v3"), 1)
    assert tuner is not None
    for is_far in (False, True):
        assert tuner.seconds(*found[0], is_far=is_far) > 0
        assert (len(evictions) > tuner.effort.runs) == is_far
    assert set(evictions) == {resolve_target("x86-64-v3").l3_bytes}
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"fast", b"-1.0", b"nan", b"inf", b"\xff\xfe", b"0.0"])
def test_a_damaged_entry_is_measured_again(model: ir.Model, folder: Path, content: bytes) -> None:
    tuned(model)
    for path in folder.iterdir():
        path.write_bytes(content)
    tuned(model)
    assert all(0 < float(path.read_text()) < math.inf for path in folder.iterdir())


def test_a_folder_that_takes_no_files_costs_only_time(model: ir.Model, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file is in its place")
    assert_equal(tuned(model), model)


def test_several_may_share_the_folder(model: ir.Model, folder: Path) -> None:
    tuners = [Tuner(EFFORTS[Tune.QUICK], Measurements(resolve_target("native"), 1)) for _ in range(4)]
    found = asked_for(model)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda tuner: [tuner.seconds(*each) for each in found], tuners))
    assert len(list(folder.iterdir())) == len(found)
    again = Tuner(EFFORTS[Tune.QUICK], Measurements(resolve_target("native"), 1))
    assert all(again.seconds(*each) > 0 for each in found)
    assert again.measurements.taken == 0


def test_other_code_and_other_threads_are_measured_apart(model: ir.Model, folder: Path) -> None:
    tuned(model, "full")
    compile_model(model, "x86-64-v3", tune="full")
    tuned(model, "full", threads=2)
    assert len(list(folder.iterdir())) == 3 * 4


def test_what_was_measured_depends_on_the_code_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measurements(resolve_target("native"), 1)
    for version in ("one", "one", "other"):
        monkeypatch.setattr(measurements, "code_version", lambda version=version: version)
        measured.seconds("a kernel", lambda: 1.0)
    assert measured.taken == 2


def test_an_unknown_effort_is_refused(model: ir.Model) -> None:
    with pytest.raises(InputError, match=r"^tune is 'fast', expected one of none, quick, full \[GP420\]$"):
        compile_model(model, tune="fast")


def test_code_that_cannot_run_here_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    features = frozenset(TARGETS["x86-64-v4"].features) - {"avx512f"}
    monkeypatch.setattr("graphprune.backends.tvm.backend.read_cpu", lambda: CpuInfo("some", "x86_64", features))
    assert make_tuner("none", resolve_target("x86-64-v4"), 1) is None
    with pytest.raises(BackendError, match=r"measured here, this processor lacks avx512f \[GP421\]"):
        make_tuner("quick", resolve_target("x86-64-v4"), 1)
