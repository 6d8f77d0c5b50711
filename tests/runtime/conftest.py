"""The example, saved, and what it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphprune_runtime import load_session
from tests.runtime.example import X, make


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.so"
    make().save(path)
    return path


@pytest.fixture(scope="module")
def expected(model: Path) -> np.ndarray:
    y: np.ndarray = load_session(model).run(["y"], {"x": X})[0]
    return y
