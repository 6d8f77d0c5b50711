"""Writing files so that a run which is killed leaves no half file, and the folder of what is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from graphprune_runtime.files import atomic_write, copy_file

__all__ = ["atomic_write", "cache_dir", "copy_file"]


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/graphprune`, or `~/.cache/graphprune`: what is kept there can be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphprune"
