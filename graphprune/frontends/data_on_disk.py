"""A tensor whose data stays in its file: read whenever it is asked for, never mapped.

A mapped file that is cut under us ends the process (SIGBUS), and one that is written into changes weights in mid-run.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from graphprune.errors import ModelFileError

_CHUNK = 1 << 24
_BITS_A_BYTE = 8


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take some."""


class DataOnDisk(ir.ExternalTensor):
    """An external tensor that is read from the file that it was made for, or not at all.

    While an array that `numpy` gave is held, it is given again; nothing else is kept in memory.
    """

    def __init__(self, tensor: ir.ExternalTensor, folder: Path) -> None:
        place = tensor.location, tensor.offset, tensor.length, tensor.dtype
        shape = ir.Shape(tensor.shape.numpy())
        super().__init__(*place, shape=shape, name=tensor.name or "", base_dir=folder)
        self._given: weakref.ref[npt.NDArray[Any]] | None = None
        with self._refused():
            self._seen = _identity(Path(self.path).stat())

    def numpy(self) -> npt.NDArray[Any]:
        """Read the array.

        Raises:
            ModelFileError: The file is gone or short [GP103], or another than it was [GP144].
        """
        array = self._given() if self._given is not None else None
        if array is None:
            array = self._decoded(self.tobytes())
            array.flags.writeable = False
            self._given = weakref.ref(array)
        return array

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:  # noqa: FBT001 - NumPy's
        """Return the array, as NumPy asks for it."""
        return np.asarray(self.numpy(), dtype=dtype)

    def tobytes(self) -> bytes:
        """Read the bytes; raises what `numpy` does."""
        return b"".join(self._chunks())

    def tofile(self, file: Sink) -> None:
        """Copy the bytes in pieces; raises what `numpy` does."""
        for chunk in self._chunks():
            file.write(chunk)

    def _chunks(self) -> Iterator[bytes]:
        path = Path(self.path)
        with self._refused():
            self._compare(path.stat())  # before it is opened: a pipe would wait
        with self._refused(), path.open("rb") as file:
            self._compare(os.fstat(file.fileno()))
            file.seek(self.offset or 0)
            left = self.nbytes
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise self._changed()
                left -= len(chunk)
                yield chunk

    def _decoded(self, data: bytes) -> npt.NDArray[Any]:
        shape = self.shape.numpy()
        if self.dtype.bitwidth < _BITS_A_BYTE:
            proto = onnx.TensorProto(dims=shape, data_type=int(self.dtype), raw_data=data)
            return np.array(ir.TensorProtoTensor(proto).numpy())
        return np.frombuffer(data, np.dtype(self.dtype.numpy()).newbyteorder("<")).reshape(shape)

    def _compare(self, status: os.stat_result) -> None:
        if _identity(status) != self._seen:
            raise self._changed()

    def _changed(self) -> ModelFileError:
        message = f"tensor '{self.name}': external data '{self.path}' changed since the model was loaded"
        return ModelFileError(message, code="GP144")

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"tensor '{self.name}': external data '{self.path}' cannot be read: {error.strerror}"
            raise ModelFileError(message, code="GP103") from error


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What tells one state of a file from another."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
