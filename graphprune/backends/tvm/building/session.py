"""The session of a model that was compiled in this process: it can be saved in every form."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from graphprune.backends.tvm.building.build import Built
from graphprune.backends.tvm.building.static import write_static
from graphprune.errors import BackendError
from graphprune_runtime.file import is_static
from graphprune_runtime.session import CompiledSession


class BuiltSession(CompiledSession):
    """A compiled model."""

    def __init__(self, built: Built, threads: int) -> None:
        super().__init__(built.file, threads)
        self._built = built

    def save(self, path: str | PathLike[str]) -> None:
        """Write one file: to link statically where `path` ends in .o or .a, else a shared library.

        Raises:
            ModelFileError: the file cannot be written.
            BackendError: linking failed, or the model is too large to be linked statically, or runs on ONNX Runtime in
                part.
        """
        if is_static(path):
            self._check_open()
            if self.description.hosted:
                message = f"'{path}': what is linked into a program has no ONNX Runtime, and some nodes run on it"
                raise BackendError(message, code="GP497")
            write_static(self._built.code, self._built.file, Path(path))
        else:
            super().save(path)
