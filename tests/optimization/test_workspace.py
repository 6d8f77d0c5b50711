"""What a run has finished is there for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphprune.errors import InputError
from graphprune.optimization.workspace import Workspace
from graphprune.planning.documents import Document


class Number(Document):
    """A number."""

    value: int


def test_what_is_finished_is_not_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> Number:
        made.append(1)
        return Number(value=len(made))

    for _ in range(2):
        assert Workspace(tmp_path / "o", {"samples": 3}).finished("n", Number, make) == Number(value=1)
    assert Workspace(tmp_path / "o", {"samples": 3}).finished("other", Number, make) == Number(value=2)


def test_what_has_lost_its_files_is_made_again(tmp_path: Path) -> None:
    work, file = Workspace(tmp_path, {}), tmp_path / "model.so"
    work.finished("n", Number, lambda: Number(value=1), [file])
    assert work.finished("n", Number, lambda: Number(value=2), [file]) == Number(value=2)
    file.touch()
    assert work.finished("n", Number, lambda: Number(value=3), [file]) == Number(value=2)


def test_what_fails_is_not_finished(tmp_path: Path) -> None:
    def fail() -> Number:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Workspace(tmp_path, {}).finished("n", Number, fail)
    assert Workspace(tmp_path, {}).finished("n", Number, lambda: Number(value=2)) == Number(value=2)


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    Workspace(tmp_path, {"samples": 3})
    with pytest.raises(InputError, match="has results of another run") as caught:
        Workspace(tmp_path, {"samples": 4})
    assert caught.value.code == "GP645"
    Workspace(tmp_path, {"samples": 3})
