"""Fixtures that the whole suite shares."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from graphprune.testing.models import build


@pytest.fixture(scope="session")
def tiny_models() -> Callable[[str], ir.Model]:
    """Give a named model, built once a session; each call returns a clone, which shares only the tensors."""
    built: dict[str, ir.Model] = {}

    def get(name: str) -> ir.Model:
        if name not in built:
            built[name] = build(name)
        return built[name].clone()

    return get
