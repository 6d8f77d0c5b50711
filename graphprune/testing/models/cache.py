"""Built models kept as files, because an export takes seconds."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx_ir as ir

from graphprune.errors import GraphPruneError
from graphprune.files import cache_dir
from graphprune.frontends.onnx_file import load, save

_PACKAGE = Path(__file__).parents[2]
_SOURCES = (  # what decides the content of a built model
    *(_PACKAGE / "testing" / "models").glob("*.py"),
    _PACKAGE / "frontends" / "torch_module.py",
    _PACKAGE / "frontends" / "opset.py",
    _PACKAGE / "passes" / "fold_constants.py",
)


def cached(name: str, build: Callable[[], ir.Model], packages: Sequence[str]) -> ir.Model:
    """Return `build()`, from the cache when it was built before by the same versions of `packages` and of this code.

    A cache that cannot be read or written (a damaged file, a full disk) costs time, never the model.
    """
    path = cache_dir() / f"{name}-{_key(packages)}.onnx"
    if path.exists():
        try:
            return load(path)
        except GraphPruneError:
            pass
    model = build()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(model, path)
        for outdated in set(path.parent.glob(f"{name}-*.onnx")) - {path}:
            outdated.unlink(missing_ok=True)
    except (GraphPruneError, OSError):
        pass
    return model


def _key(packages: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for package in packages:
        try:
            digest.update(f"{package}=={importlib.metadata.version(package)}\n".encode())
        except importlib.metadata.PackageNotFoundError:
            digest.update(f"{package} missing\n".encode())
    for source in sorted(_SOURCES):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
