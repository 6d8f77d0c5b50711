"""Fixtures that the whole suite shares."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest

from graphprune.testing.models import build

if TYPE_CHECKING:
    from graphprune.backends.tvm.building.roofline import Roofline
    from graphprune.targets.target import Target


@pytest.fixture(scope="session", autouse=True)
def read_torchlib_once() -> Iterator[None]:
    """Keep what torch's exporter reads anew for every export: the source of 500 functions, half a second each time."""
    from torch.onnx._internal.exporter import _registration

    registry = _registration.ONNXRegistry
    read = functools.cache(registry.from_torchlib)

    def from_torchlib(**keys: int) -> _registration.ONNXRegistry:
        made = copy.copy(read(**keys))
        made.functions = {target: list(metas) for target, metas in made.functions.items()}
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(from_torchlib))
        yield


@pytest.fixture(scope="session")
def tiny_models() -> Callable[[str], ir.Model]:
    """Give a named model, built once a session; each call returns a clone, which shares only the tensors."""
    built: dict[str, ir.Model] = {}

    def get(name: str) -> ir.Model:
        if name not in built:
            built[name] = build(name)
        return built[name].clone()

    return get


@pytest.fixture(scope="session")
def measured_once() -> Callable[[Target, int], Roofline]:
    """`measure_roofline`, which measures once a session for each number of threads."""
    from graphprune.backends.tvm.building.roofline import measure_roofline

    return functools.cache(measure_roofline)


@pytest.fixture
def quick_roofline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured_once: Callable[[Target, int], Roofline]
) -> None:
    """Let profiles take the peaks of the machine from a short measurement, which no test of a profile depends on."""
    from graphprune.backends.tvm.building import roofline

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (("STEPS", 1 << 12), ("TIMES_CACHE", 1), ("LEAST_READ", 1 << 20), ("SECONDS", 0.01)):
        monkeypatch.setattr(roofline, name, value)
    monkeypatch.setattr(roofline, "measure_roofline", measured_once)
