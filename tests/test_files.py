"""Atomic writing: the whole new file or the earlier one, and nothing beside it."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from graphprune.errors import ModelFileError
from graphprune.files import atomic_write, work_folder
from graphprune_runtime import files as runtime_files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_and_raise(path: Path, failure: BaseException) -> None:
    with atomic_write(path) as file:
        file.write(b"ne")
        raise failure


def test_a_file_is_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
        assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert (tmp_path / "a.bin").read_bytes() == b"new"


def test_the_file_has_the_permissions_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_replaced_and_what_it_points_to_left_alone(tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "original")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "original").read_bytes() == b"old"
    assert (tmp_path / "link").read_bytes() == b"new"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_exception_leaves_the_earlier_file_alone(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(failure):
        _write_and_raise(tmp_path / "a.bin", failure())
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(ModelFileError, match=r"cannot write '.*a\.bin': No space left on device \[GP106\]"):
        _write_and_raise(tmp_path / "a.bin", full)
    assert names(tmp_path) == []


def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    script = """
        import resource, sys
        from graphprune.errors import ModelFileError
        from graphprune.files import atomic_write
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_write(sys.argv[1]) as file:
                file.write(bytes(100_000))
        except ModelFileError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a.bin")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large [GP106]" in result.stdout
    assert names(tmp_path) == []


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelFileError, match=r"a\.bin': No such file or directory \[GP106\]"),
        atomic_write(tmp_path / "no" / "a.bin"),
    ):
        pass


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with (
        pytest.raises(ModelFileError, match=r"a\.bin': Is a directory \[GP106\]"),
        atomic_write(tmp_path / "a.bin") as file,
    ):
        file.write(b"new")
    assert names(tmp_path) == ["a.bin"]


KILLED = """
import os, signal, sys, time
from graphprune.files import atomic_write, work_folder
with work_folder() as folder, atomic_write(sys.argv[1]) as file:
    (folder / "part").write_bytes(b"half")
    file.write(b"half")
    file.flush()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_files, "SECONDS_TO_HOLD", 0)
    (tmp_path / "a.bin").write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.bin")]
    run = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    left = Path(run.stdout.strip())
    assert left.is_dir()
    assert len(names(tmp_path)) == 2
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert names(tmp_path) == ["a.bin"]
    with work_folder():
        assert not left.exists()


def test_what_others_still_write_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_files, "SECONDS_TO_HOLD", 0)
    with work_folder() as folder, atomic_write(tmp_path / "a.bin") as one:
        one.write(b"one")
        with work_folder(), atomic_write(tmp_path / "a.bin") as other:
            other.write(b"other")
        assert (tmp_path / "a.bin").read_bytes() == b"other"
        assert folder.is_dir()
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert names(tmp_path) == ["a.bin"]


def test_what_was_just_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".a.bin.123.tmp").touch()
    with atomic_write(tmp_path / "a.bin"):
        pass
    assert names(tmp_path) == [".a.bin.123.tmp", "a.bin"]


def test_a_name_with_the_signs_of_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_files, "SECONDS_TO_HOLD", 0)
    (tmp_path / ".[ab]*.123.tmp").touch()
    (tmp_path / ".a.123.tmp").touch()
    with atomic_write(tmp_path / "[ab]*"):
        pass
    assert names(tmp_path) == [".a.123.tmp", "[ab]*"]


def test_only_temporary_files_of_this_target_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_files, "SECONDS_TO_HOLD", 0)
    for name in (".a.bin.123.tmp", ".b.bin.123.tmp", "a.bin.tmp", ".a.bin.tmp"):
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "a.bin"):
        pass
    assert names(tmp_path) == [".a.bin.tmp", ".b.bin.123.tmp", "a.bin", "a.bin.tmp"]
