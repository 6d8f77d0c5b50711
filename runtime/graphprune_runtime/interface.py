"""The interface of a session: its inputs and outputs, one method to run it, and the checks of its feed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from graphprune_runtime.errors import InputError

Dim: TypeAlias = int | str | None
"""One extent of a shape: fixed, symbolic (by name) or unknown."""


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape and element type of one input or output of a compiled model."""

    name: str
    shape: tuple[Dim, ...]
    dtype: np.dtype[np.generic]

    @property
    def type(self) -> str:
        """The element type as ONNX Runtime spells it, such as `tensor(float)`."""
        return f"tensor({_ONNX_NAMES.get(self.dtype.name, self.dtype.name)})"

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, every extent of which must be fixed."""
        assert all(isinstance(extent, int) for extent in self.shape), self
        return tuple(extent for extent in self.shape if isinstance(extent, int))

    @property
    def written_type(self) -> str:
        """Element type and shape, such as `float32[1, ?]`."""
        return f"{self.dtype.name}[{', '.join('?' if dim is None else str(dim) for dim in self.shape)}]"

    def __str__(self) -> str:
        return f"{self.name}: {self.written_type}"


_ONNX_NAMES = {"float32": "float", "float64": "double", "object": "string"}


@runtime_checkable
class Session(Protocol):
    """A model ready to run, with the call signature of `onnxruntime.InferenceSession`."""

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, np.ndarray], /) -> list[np.ndarray]:
        """Run once; `None` asks for every output in the model's order.

        Raises:
            InputError: the feed or a requested name does not fit the model.
        """
        ...

    def get_inputs(self) -> list[TensorInfo]:
        """The inputs in the model's order."""
        ...

    def get_outputs(self) -> list[TensorInfo]:
        """The outputs in the model's order."""
        ...

    def save(self, path: str | PathLike[str]) -> None:
        """Write the compiled code to one file that `load_session` reads.

        Raises:
            BackendError: this kind of session has no file form.
        """
        ...


def check_output_names(infos: Sequence[TensorInfo], output_names: Sequence[str] | None) -> list[str]:
    """The outputs to compute, in the order asked for; all of them for `None`.

    Raises:
        InputError: a name is not an output.
    """
    known = [info.name for info in infos]
    if output_names is None:
        return known
    for name in output_names:
        if name not in known:
            raise InputError(f"unknown output {name!r}{_hint(name, known)}", code="GP511")
    return list(output_names)


def check_feed(infos: Sequence[TensorInfo], feed: Mapping[str, np.ndarray]) -> None:
    """Check that `feed` gives exactly the declared inputs, with their shapes and element types.

    A symbolic dimension takes any positive extent, the same one wherever its name occurs.

    Raises:
        InputError: names the input, what was given and what was expected.
    """
    if len(feed) == len(infos) and all(_is_exactly(info, feed.get(info.name)) for info in infos):
        return
    known = [info.name for info in infos]
    for name in feed:
        if name not in known:
            raise InputError(f"unknown input {name!r}{_hint(name, known)}", code="GP512")
    bound: dict[str, tuple[int, str]] = {}
    for info in infos:
        if info.name not in feed:
            raise InputError(f"input {info.name!r} is missing, expected {info}", code="GP513")
        _check_array(info, feed[info.name])
        _bind_symbols(info, feed[info.name].shape, bound)


def _is_exactly(info: TensorInfo, array: object) -> bool:
    """Whether the array is of a fixed shape, and has it: a run asks this first, and little else."""
    return isinstance(array, np.ndarray) and array.shape == info.shape and array.dtype == info.dtype


def _check_array(info: TensorInfo, array: object) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"input {info.name!r} is a {type(array).__name__}, expected a NumPy array", code="GP514")
    if array.dtype != info.dtype:
        raise InputError(f"input {info.name!r} has dtype {array.dtype}, expected {info.dtype}", code="GP514")
    if array.ndim != len(info.shape):
        message = f"input {info.name!r} has {array.ndim} dimensions, expected {len(info.shape)}: {info.written_type}"
        raise InputError(message, code="GP515")
    for axis, (given, declared) in enumerate(zip(array.shape, info.shape, strict=True)):
        if isinstance(declared, int) and given != declared:
            message = f"input {info.name!r} has extent {given} at axis {axis}, expected {declared}: {info.written_type}"
            raise InputError(message, code="GP515")
        if declared != 0 and given == 0:
            raise InputError(f"input {info.name!r} is empty at axis {axis}, expected {info.written_type}", code="GP515")


def _bind_symbols(info: TensorInfo, shape: tuple[int, ...], bound: dict[str, tuple[int, str]]) -> None:
    for declared, given in zip(info.shape, shape, strict=True):
        if not isinstance(declared, str):
            continue
        extent, first = bound.setdefault(declared, (given, info.name))
        if extent != given:
            raise InputError(
                f"dimension {declared!r} is {given} in input {info.name!r}, expected {extent} as in {first!r}",
                code="GP515",
            )


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}" if close else f", expected one of {', '.join(map(repr, known))}"
