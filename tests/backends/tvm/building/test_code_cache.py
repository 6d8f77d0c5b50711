"""Machine code is made once, for whatever model; a cache that cannot be used costs time only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphprune.backends.tvm.building import code_cache, code_version, objects
from graphprune.backends.tvm.building.code_cache import ObjectFile, find, keep, key_of
from graphprune.backends.tvm.kernels.builder import Expr, Flat, Kernel, build_function, loop, store
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE, text_of
from graphprune.backends.tvm.program.recording import Kernels
from graphprune.targets.target import resolve_target
from tests.backends.tvm.graphs import assert_equal, compile_, parse
from tests.backends.tvm.program.test_recording import scaled

TARGET = resolve_target("x86-64-v3")
MODEL = parse("g (float[5,7] x) => (float[5,7] y) { t = Softmax <axis = 0> (x) y = Softmax <axis = 1> (t) }")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the functions that are compiled."""
    names: list[str] = []
    compile_one = objects._compile

    def watched(chip: Expr, function: tuple[Expr, Expr], path: Path) -> ObjectFile:
        names.append(function[0].name_hint)
        return compile_one(chip, function, path)

    monkeypatch.setattr(objects, "_compile", watched)
    return names


def summed(count: int) -> Expr:
    arguments = [Flat("x", count, "float32"), Flat("starts", 2, "int32"), Flat("y", 1, "float32")]

    def body(k: Kernel) -> None:
        store(k["y"], 0, 0.0)
        with loop(k["starts"][1]) as i:
            store(k["y"], 0, k["y"][0] + k["x"][i])

    return build_function("summed", arguments, body)


def test_a_model_is_compiled_once_and_computes_the_same(compiled: list[str]) -> None:
    first = compile_(MODEL)
    assert len(compiled) == len(set(compiled)) >= 3
    again = compile_(MODEL)
    assert len(compiled) == len(set(compiled)), "the second time nothing is compiled"
    assert_equal(again, MODEL)
    feed = {"x": np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)}
    np.testing.assert_array_equal(first.run(None, feed)[0], again.run(None, feed)[0])


def test_another_model_shares_its_kernels(compiled: list[str]) -> None:
    compile_(MODEL)
    before = list(compiled)
    other = parse("g (float[5,7] x) => (float[5,7] y) { y = Softmax <axis = 1> (x) }")
    assert_equal(compile_(other), other)
    assert compiled[len(before) :] == ["gp_program_0"]


def test_the_size_of_a_parameter_is_not_in_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "find", lambda _keys: {})
    variable = Kernels().add(summed(10))
    few, many = (objects.compile_objects({variable: summed(count)}, TARGET) for count in (10, 1000))
    assert few == many


@pytest.mark.parametrize("what", ["name", "function", "target", "version", "checks"])
def test_all_that_decides_the_code_is_in_its_key(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(scaled(2))
    key = key_of("a", scaled(2), TARGET)
    assert key == key_of("a", scaled(2), TARGET)
    if what == "version":
        monkeypatch.setattr(code_cache, "code_version", lambda: "other")
    if what == "checks":
        monkeypatch.setattr(code_cache, "text_of", lambda _function: text)
        monkeypatch.setenv(CHECKS_VARIABLE, "1")
    changed = {
        "name": ("b", scaled(2), TARGET),
        "function": ("a", scaled(np.nextafter(np.float32(2), np.float32(3))), TARGET),
        "target": ("a", scaled(2), resolve_target("x86-64-v4")),
    }
    assert key_of(*changed.get(what, ("a", scaled(2), TARGET))) != key


def test_the_version_is_that_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in code_version.ROOMS:
        (tmp_path / room).mkdir()
    (tmp_path / "building" / "code_version.py").touch()
    monkeypatch.setattr(code_version, "__file__", str(tmp_path / "building" / "code_version.py"))
    versions: list[str] = []
    for room in ("kernels", "building", "kernels"):
        (tmp_path / room / "one.py").write_text(f"{len(versions)}")
        code_version.code_version.cache_clear()
        versions.append(code_version.code_version())
    monkeypatch.undo()
    code_version.code_version.cache_clear()
    assert len({*versions, code_version.code_version()}) == 4


def test_what_was_used_longest_ago_goes_when_the_file_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(code_cache, "MOST_BYTES", 400_000)
    keys = [bytes([number]) for number in range(60)]
    for key in keys[:9]:
        keep({key: ObjectFile(bytes(40_000), 64)})
    assert list(find(keys)) == keys[:9], "it is not full yet"
    find(keys[:1])
    keep({key: ObjectFile(bytes(40_000), 0) for key in keys[9:11]})
    assert list(find(keys)) == [keys[0], *keys[5:11]], "three quarters stay"
    for key in keys[11:]:
        keep({key: ObjectFile(bytes(40_000), 0)})
    assert keys[-1] in find(keys)
    assert code_cache.path().stat().st_size < 600_000


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def _other_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE code (something TEXT)")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [_garbage, _other_table, _folder])
def test_a_cache_that_cannot_be_used_costs_time_only(spoil: Callable[[Path], None]) -> None:
    code_cache.path().parent.mkdir()
    spoil(code_cache.path())
    assert_equal(compile_(MODEL), MODEL)


def test_a_cache_that_another_process_writes_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "SECONDS_TO_WAIT", 0.01)
    keep({b"1": ObjectFile(b"code", 0)})
    with sqlite3.connect(code_cache.path(), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        keep({b"2": ObjectFile(b"code", 0)})
        assert_equal(compile_(MODEL), MODEL)
    assert list(find([b"1", b"2"])) == [b"1"]
