"""ONNX Runtime behind the backend protocol: the oracle for numbers, and a backend for dense models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import Variant
from graphprune.backends.unsigned_weights import saturates, with_exact_products
from graphprune.errors import BackendError, UnsupportedModelError
from graphprune.files import work_folder
from graphprune.frontends.onnx_file import save
from graphprune_runtime.description import NOT_SAID, Origin
from graphprune_runtime.hosted import first_line, open_in_onnxruntime
from graphprune_runtime.interface import TensorInfo, check_feed, check_output_names

if TYPE_CHECKING:
    import onnxruntime as ort

    from graphprune.targets.target import Target

# Protobuf stops at 2 GiB; the rest of the message needs some of it.
_INLINE_LIMIT = 1_800_000_000

_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "bool": "bool", "string": "object",
    "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
}  # fmt: skip


class OnnxRuntimeBackend:
    """Runs models on ONNX Runtime's CPU provider, with all graph optimisations on."""

    name = "onnxruntime"

    def compile(
        self,
        variants: Sequence[Variant],
        target: Target,  # noqa: ARG002
        threads: int,
        tune: str = "none",  # noqa: ARG002
        origin: Origin = NOT_SAID,  # noqa: ARG002
        *,
        fallback: bool = False,  # noqa: ARG002
    ) -> OnnxRuntimeSession:
        """Hand the one variant to ONNX Runtime, which picks kernels at run time; nothing else is used but `threads`.

        Raises:
            BackendError: ONNX Runtime rejects the model.
        """
        (variant,) = variants
        return session_for(variant.model, threads)


class _NodeArg(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None] | None


class OnnxRuntimeSession:
    """An `onnxruntime.InferenceSession` whose feeds are checked and whose errors are one line."""

    def __init__(self, session: ort.InferenceSession) -> None:
        """Wrap `session`."""
        self._session = session
        self._inputs = [_tensor_info(arg) for arg in session.get_inputs()]
        self._outputs = [_tensor_info(arg) for arg in session.get_outputs()]

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, np.ndarray],
        run_options: object = None,
    ) -> list[np.ndarray]:
        """Run once. See :meth:`graphprune_runtime.interface.Session.run`; `run_options` are ONNX Runtime's."""
        names = check_output_names(self._outputs, output_names)
        check_feed(self._inputs, input_feed)
        try:
            results: list[np.ndarray] = self._session.run(names, dict(input_feed), run_options)
        except Exception as error:  # its exception classes share no base
            raise BackendError(f"onnxruntime: {first_line(error)}", code="GP481") from error
        return results

    def get_inputs(self) -> list[TensorInfo]:
        """The inputs in the model's order."""
        return list(self._inputs)

    def get_outputs(self) -> list[TensorInfo]:
        """The outputs in the model's order."""
        return list(self._outputs)

    def save(self, path: str | PathLike[str]) -> None:
        """Refuse: ONNX Runtime has no compiled form that runs without the model.

        Raises:
            BackendError: always.
        """
        raise BackendError(f"onnxruntime sessions have no compiled file to write to {os.fspath(path)}", code="GP482")


def session_for(model: ir.Model, threads: int = 1, *, optimize: bool = True) -> OnnxRuntimeSession:
    """A session for a model in memory.

    Args:
        model: any stage; packed calls run by their functions' bodies.
        threads: size of the thread pool of one operator.
        optimize: False turns every graph optimisation off, and products of bytes exact, which makes the session an
            oracle.

    Raises:
        BackendError: ONNX Runtime rejects the model.
    """
    model = model if optimize else with_exact_products(model)
    with ExitStack() as stack:
        source: str | bytes
        if _fits_in_memory(model):
            source = ir.to_proto(model).SerializeToString()
        else:
            source = str(stack.enter_context(work_folder()) / "model.onnx")
            save(model, source)
        return OnnxRuntimeSession(open_in_onnxruntime(source, threads, optimize=optimize))


def session_for_file(path: str | PathLike[str], threads: int = 1, *, optimize: bool = True) -> OnnxRuntimeSession:
    """A session for an `.onnx` file as it lies on disk, read by ONNX Runtime alone.

    Without optimisations, its products of bytes are exact (see `session_for`), if need be as those of a changed copy.

    Raises:
        BackendError: ONNX Runtime rejects the file.
    """
    if not optimize and saturates():
        model = ir.load(path)
        if (exact := with_exact_products(model)) is not model:
            return session_for(exact, threads, optimize=False)
    return OnnxRuntimeSession(open_in_onnxruntime(os.fspath(path), threads, optimize=optimize))


def _fits_in_memory(model: ir.Model) -> bool:
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    external = any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors)
    return not external and sum(tensor.nbytes for tensor in tensors) < _INLINE_LIMIT


def _tensor_info(arg: _NodeArg) -> TensorInfo:
    inner = arg.type.removeprefix("tensor(").removesuffix(")")
    if inner not in _DTYPES:
        message = f"{arg.name!r} has type {arg.type}, which NumPy cannot hold; expected a plain tensor"
        raise UnsupportedModelError(message, code="GP484")
    dims = tuple(dim or None if isinstance(dim, str) else dim for dim in arg.shape or ())
    return TensorInfo(arg.name, dims, np.dtype(_DTYPES[inner]))
