"""Arrays between steps: in memory, in files, and where there is no room for them."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from graphprune.calibration.streaming.activations import Activations
from graphprune.errors import InputError

ARRAY = np.arange(16, dtype=np.float32)


def test_what_does_not_fit_lies_in_files_until_it_is_dropped(tmp_path: Path) -> None:
    values = Activations(tmp_path, limit=ARRAY.nbytes)
    for name in "abc":
        values.put(0, name, ARRAY * ord(name))
    assert len(list(tmp_path.iterdir())) == 2
    for name, array in values.get(0, "abc").items():
        np.testing.assert_array_equal(array, ARRAY * ord(name))
    values.drop(0, "abx")
    assert len(list(tmp_path.iterdir())) == 1
    values.put(1, "d", ARRAY)  # in the room that `a` had
    assert len(list(tmp_path.iterdir())) == 1


def test_an_array_is_replaced(tmp_path: Path) -> None:
    values = Activations(tmp_path, limit=0)
    values.put(0, "a", ARRAY)
    values.put(0, "a", ARRAY + 1)
    np.testing.assert_array_equal(values.get(0, "a")["a"], ARRAY + 1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("number", "what"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written: ro")])
def test_a_folder_that_takes_no_more_is_named(
    number: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, array: np.ndarray) -> None:
        path.write_bytes(array.tobytes()[:8])
        raise OSError(number, "ro")

    monkeypatch.setattr(np, "save", refuse)
    with pytest.raises(InputError, match=rf"{what}, with 0 bytes of activations in memory; .* \[GP584\]"):
        Activations(tmp_path, limit=0).put(0, "a", ARRAY)
    assert not list(tmp_path.iterdir())
