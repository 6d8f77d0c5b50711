"""The cache of built models: used, invalidated, never in the way."""

import importlib.metadata
from pathlib import Path

import onnx_ir as ir
import pytest

from graphprune.files import cache_dir
from graphprune.testing.models import cache
from tests.weighted import weighted_model


class Builder:
    """Builds a model and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> ir.Model:
        self.count += 1
        return weighted_model("g (float[1,4] x, float[4,4] w) => (float[1,4] y) { [fc] y = MatMul(x, w) }")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "graphprune"


def test_a_model_is_built_once(folder: Path) -> None:
    build = Builder()
    first, second = cache.cached("m", build, ["onnx"]), cache.cached("m", build, ["onnx"])
    assert build.count == 1
    assert len(list(folder.iterdir())) == 1
    assert [node.name for node in first.graph] == [node.name for node in second.graph] == ["fc"]


def test_another_version_builds_again_and_drops_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Builder()
    cache.cached("m", build, ["onnx"])
    monkeypatch.setattr(importlib.metadata, "version", lambda _package: "0.0.1")
    cache.cached("m", build, ["onnx"])
    assert build.count == 2
    assert len(list(folder.iterdir())) == 1


def test_a_missing_package_is_part_of_the_key(folder: Path) -> None:
    build = Builder()
    cache.cached("m", build, ["no-such-package"])
    assert build.count == 1
    assert folder.is_dir()


def test_a_damaged_file_is_built_again(folder: Path) -> None:
    build = Builder()
    cache.cached("m", build, ["onnx"])
    next(folder.iterdir()).write_bytes(b"damaged")
    cache.cached("m", build, ["onnx"])
    assert build.count == 2


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build = Builder()
    assert cache.cached("m", build, ["onnx"]).graph.node("fc").op_type == "MatMul"


def test_the_folder_without_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == Path.home() / ".cache" / "graphprune"
