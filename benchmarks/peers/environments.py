"""A virtual environment for each peer that must not share ours, made when it is first needed."""

from __future__ import annotations

import shutil
import subprocess
import sys

from benchmarks.peers.peers import Peer
from graphprune.errors import GraphPruneError
from graphprune.files import cache_dir


class NoEnvironmentError(GraphPruneError):
    """An environment that cannot be made."""


def python_of(peer: Peer) -> str:
    """The Python that runs `peer`: this one, or that of its environment in the user's cache folder.

    Raises:
        NoEnvironmentError: no fitting Python is there, or its packages cannot be installed.
    """
    if not peer.requirements:
        return sys.executable
    home = cache_dir() / "peers" / peer.name
    python, done = home / "bin" / "python", home / "requirements.txt"
    wanted = "\n".join(peer.requirements)
    if not done.exists() or done.read_text() != wanted:
        base = _base(peer)
        print(f"installing {', '.join(peer.requirements)} to {home}", file=sys.stderr)
        _call(peer, base, "-m", "venv", "--clear", str(home))
        _call(peer, str(python), "-m", "pip", "install", "--disable-pip-version-check", *peer.requirements)
        done.write_text(wanted)
    return str(python)


def _base(peer: Peer) -> str:
    """A Python of one of the versions that `peer` is made for."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not peer.pythons or this in peer.pythons:
        return sys.executable
    names = [f"python{version}" for version in peer.pythons]
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise NoEnvironmentError(f"{peer.name} needs {' or '.join(names)} on the path")
    return found


def _call(peer: Peer, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the commands above
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "failed")
        raise NoEnvironmentError(f"{peer.name} cannot be installed: {reason}")
