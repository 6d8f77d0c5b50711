"""The protocol that every backend follows, and the registry of backends by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from graphprune.errors import BackendError, InputError, UnsupportedModelError
from graphprune_runtime.description import NOT_SAID, Origin
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
    if not value.dtype:  # UNDEFINED is 0
        raise UnsupportedModelError(f"value {value.name!r} is {value.type}, expected a tensor", code="GP516")
    if value.shape is None:
        raise UnsupportedModelError(f"value {value.name!r} has no known rank", code="GP517")
    dims = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
    return TensorInfo(value.name or "", dims, np.dtype(value.dtype.numpy()))


@dataclass(frozen=True)
class Variant:
    """A model for one set of input shapes.

    Attributes:
        model: With static shapes, where the backend needs them.
        inputs: What a session says of its inputs; an open number of samples is a symbol or None in the first extents.
        open_batch: Where the number of samples is open: `samples` of them stand in `model` for any number, and the
            same model with another number, by which it is known whether anything depends on it.
    """

    model: ir.Model
    inputs: tuple[TensorInfo, ...]
    open_batch: OpenBatch | None = None

    @classmethod
    def of(cls, model: ir.Model) -> Variant:
        """The model with the shapes that it has."""
        return cls(model, tuple(tensor_infos(model.graph.inputs)))


@dataclass(frozen=True)
class OpenBatch:
    """Two numbers of samples that stand for any; the variant's model has the first, `other` the second."""

    samples: int
    other_samples: int
    other: ir.Model


def open_dimensions(infos: Sequence[TensorInfo], hint: str) -> InputError:
    """The error for inputs whose open dimensions must be fixed."""
    first = infos[0]
    samples, *others = first.shape  # one sample is always possible; what else the model takes, only the user knows
    example = "x".join(["1" if not isinstance(samples, int) else str(samples), *(_written(dim) for dim in others)])
    return InputError(
        f"open dimensions in {', '.join(map(str, infos))}; fix them with --input-shape {first.name}:{example} "
        f"(input_shapes in Python), {hint}",
        code="GP534",
    )


def _written(dim: int | str | None) -> str:
    return str(dim) if isinstance(dim, int) else f"<{dim or '?'}>"


class Backend(Protocol):
    """Turns a model into a session."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""
        ...

    def compile(
        self,
        variants: Sequence[Variant],
        target: Target,
        threads: int,
        tune: str = "none",
        origin: Origin = NOT_SAID,
        *,
        fallback: bool = False,
    ) -> Session:
        """Lower a model for `target`, whose kernels are chosen by estimate, or measured `quick` or in `full`.

        Args:
            variants: the model, for each set of input shapes.
            target: what to compile for.
            threads: how many threads a run uses.
            tune: how kernels are chosen.
            origin: what a compiled file says of where it came from.
            fallback: let ONNX Runtime run what this backend cannot lower.

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
