"""Arrays of samples between two steps: in memory up to a limit, beyond that in a folder."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from graphprune.errors import InputError

MEMORY = 4 << 30
"""Bytes that are held in memory unless said otherwise."""


class Activations:
    """Arrays by name, of each of some samples."""

    def __init__(self, folder: Path, limit: int = MEMORY) -> None:
        """Keep `limit` bytes in memory, and what is more in `folder`."""
        self._folder, self._limit = folder, limit
        self._held: dict[tuple[int, str], np.ndarray] = {}
        self._spilled: dict[tuple[int, str], Path] = {}
        self._bytes = self._files = 0

    def put(self, sample: int, name: str, array: np.ndarray) -> None:
        """Keep an array; one of that name is replaced.

        Raises:
            InputError: It has to be written, and cannot be (GP584).
        """
        self.drop(sample, [name])
        if self._bytes + array.nbytes <= self._limit:
            self._held[sample, name] = array
            self._bytes += array.nbytes
            return
        self._files += 1
        path = self._folder / f"{self._files}.npy"
        try:
            np.save(path, array)
        except OSError as error:
            path.unlink(missing_ok=True)
            what = "is full" if error.errno == errno.ENOSPC else f"cannot be written: {error.strerror or error}"
            message = f"{self._folder} {what}, with {self._bytes:,} bytes of activations in memory"
            raise InputError(f"{message}; give fewer samples, or another folder in TMPDIR", code="GP584") from error
        self._spilled[sample, name] = path

    def get(self, sample: int, names: Iterable[str]) -> Mapping[str, np.ndarray]:
        """Return arrays of a sample by name."""
        return {name: self._read((sample, name)) for name in names}

    def drop(self, sample: int, names: Iterable[str]) -> None:
        """Forget arrays of a sample; those that are not there are none."""
        for name in names:
            held = self._held.pop((sample, name), None)
            self._bytes -= 0 if held is None else held.nbytes
            spilled = self._spilled.pop((sample, name), None)
            if spilled is not None:
                spilled.unlink()

    def _read(self, key: tuple[int, str]) -> np.ndarray:
        held = self._held.get(key)
        return np.load(self._spilled[key], allow_pickle=False) if held is None else held
