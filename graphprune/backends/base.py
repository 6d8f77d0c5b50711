"""The protocol that every backend follows, and the registry of backends by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from graphprune.errors import BackendError, UnsupportedModelError
from graphprune_runtime.interface import TensorInfo

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.targets.target import Target
    from graphprune_runtime.interface import Session


def tensor_infos(values: Iterable[ir.Value]) -> list[TensorInfo]:
    """Describe graph inputs or outputs.

    Raises:
        UnsupportedModelError: a value has no tensor type, or no known rank.
    """
    return [_describe(value) for value in values]


def _describe(value: ir.Value) -> TensorInfo:
    if value.dtype is None:
        raise UnsupportedModelError(f"value {value.name!r} is {value.type}, expected a tensor", code="GP516")
    if value.shape is None:
        raise UnsupportedModelError(f"value {value.name!r} has no known rank", code="GP517")
    dims = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
    return TensorInfo(value.name or "", dims, np.dtype(value.dtype.numpy()))


class Backend(Protocol):
    """Turns a model into a session."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""
        ...

    def compile(self, model: ir.Model, target: Target, threads: int, tune: str = "none") -> Session:
        """Lower `model` for `target`, whose kernels are chosen by estimate, or measured `quick` or in `full`.

        Raises:
            UnsupportedModelError: the model holds what this backend cannot lower.
        """
        ...


# Backends are imported on demand: naming one must not import TVM.
_BACKENDS = {
    "tvm": ("graphprune.backends.tvm.backend", "TvmBackend"),
    "onnxruntime": ("graphprune.backends.onnxruntime", "OnnxRuntimeBackend"),
}


def backend_names() -> tuple[str, ...]:
    """The names that :func:`get_backend` knows."""
    return tuple(_BACKENDS)


def get_backend(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        BackendError: there is none, or a library that it needs is not installed.
    """
    if name not in _BACKENDS:
        raise BackendError(f"unknown backend {name!r}, expected one of {', '.join(_BACKENDS)}", code="GP491")
    module_name, class_name = _BACKENDS[name]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BackendError(f"backend {name!r} cannot be imported: {error}", code="GP492") from error
    return cast("Backend", getattr(module, class_name)())
