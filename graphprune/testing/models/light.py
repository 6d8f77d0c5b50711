"""The architectures inside the `onnx` package, whose weights are one repeated number until they are seeded here."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from graphprune.frontends.onnx_file import load
from graphprune.testing.models.seeding import seed_weights

PREFIX = "light_"
_FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light_names() -> list[str]:
    """Names of the models, `light_resnet50` and so on, sorted."""
    return sorted(path.stem for path in _FOLDER.glob(f"{PREFIX}*.onnx"))


def build_light(name: str) -> ir.Model:
    """Load one of `light_names()` and give it seeded weights."""
    model = load(_FOLDER / f"{name}.onnx")
    seed_weights(model)
    return model
