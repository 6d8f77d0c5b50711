"""A cache of machine code: a kernel that was compiled before, for this model or another, is not compiled again.

One SQLite file in the user's cache folder, which processes share. An entry is named by all that decides it: the text
of the function, its name, the target, TVM's version and that of the code that compiles. What was used longest ago goes
when the file takes more than `MOST_BYTES`. A cache that cannot be read or written costs time, never the model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from graphprune.backends.tvm.building.code_version import code_version
from graphprune.backends.tvm.kernels.text import checks_bounds, text_of
from graphprune.backends.tvm.kernels.view import Handle
from graphprune.files import cache_dir
from graphprune.targets.target import Target

MOST_BYTES = 256 << 20
"""Of the file: the code of some hundred models."""

_KEPT_SHARE = 0.75
"""Of those bytes, where some go: finding the oldest reads the whole file, which is done now and then."""

SECONDS_TO_WAIT = 1.0
"""For another process that writes; a cache that is longer in use is done without."""

_TABLE = """
CREATE TABLE IF NOT EXISTS code (
    key BLOB PRIMARY KEY, content BLOB NOT NULL, workspace INTEGER NOT NULL, used REAL NOT NULL
)
"""
_BYTES = """
SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_OLDEST = """
DELETE FROM code WHERE key IN (
    SELECT key FROM (SELECT key, SUM(LENGTH(content)) OVER (ORDER BY used DESC, key) AS bytes FROM code) WHERE bytes > ?
)
"""


class ObjectFile(NamedTuple):
    """Machine code, and the bytes of work buffers that a thread needs in the function that needs most."""

    content: bytes
    workspace_bytes: int


def key_of(name: str, function: Handle, target: Target) -> bytes:
    """The key of the code of a function under this name."""
    parts = (code_version(), json.dumps(target.llvm, sort_keys=True), str(checks_bounds()), name, text_of(function))
    return hashlib.sha256("\0".join(parts).encode()).digest()


def find(keys: Sequence[bytes]) -> dict[bytes, ObjectFile]:
    """What is remembered of these, which counts as used now."""
    found: dict[bytes, ObjectFile] = {}
    with contextlib.suppress(sqlite3.Error, OSError), _opened() as database:
        for key in keys:
            row = database.execute("SELECT content, workspace FROM code WHERE key = ?", (key,)).fetchone()
            if row is not None:
                found[key] = ObjectFile(*row)
        used = [(time.time(), key) for key in found]
        database.executemany("UPDATE code SET used = ? WHERE key = ?", used)
    return found


def keep(objects: Mapping[bytes, ObjectFile]) -> None:
    """Remember these, in place of what was used longest ago."""
    rows = [(key, *each, time.time()) for key, each in objects.items()]
    with contextlib.suppress(sqlite3.Error, OSError), _opened() as database:
        database.executemany("INSERT OR REPLACE INTO code VALUES (?, ?, ?, ?)", rows)
        if database.execute(_BYTES).fetchone()[0] > MOST_BYTES:
            database.execute(_OLDEST, (MOST_BYTES * _KEPT_SHARE,))


def path() -> Path:
    """Where the cache is."""
    return cache_dir() / "code.sqlite"


@contextlib.contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The database, for one transaction."""
    path().parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path(), timeout=SECONDS_TO_WAIT)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        with database:
            database.execute(_TABLE)
            yield database
