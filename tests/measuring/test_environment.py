import subprocess
from pathlib import Path

from graphprune.measuring.environment import read_commit, read_environment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_no_commit_outside_a_checkout(tmp_path: Path) -> None:
    assert read_commit(tmp_path) is None


def test_no_commit_before_the_first(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert read_commit(tmp_path) is None


def test_a_changed_tree_is_marked(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert read_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert read_commit(tmp_path) == f"{commit}+dirty"


def test_the_environment_names_processor_and_versions() -> None:
    environment = read_environment()
    assert environment.cpu
    assert environment.processors >= 1
    assert "onnxruntime" in environment.versions
