"""Peers that need no installation, opened by workers of the tests."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[], list[np.ndarray]]


def sleeper(_path: str, feed: dict[str, Any], threads: int) -> Run:
    """Twice its input, after a known time; talks a lot."""
    sys.stdout.write("a banner\n")

    def run() -> list[np.ndarray]:
        sys.stdout.write("a remark\n")
        time.sleep(0.02)
        return [2 * feed["x"], np.array(threads)]

    return run


def liar(_path: str, feed: dict[str, Any], _threads: int) -> Run:
    """Its input."""
    return lambda: [feed["x"]]


def refuser(path: str, _feed: dict[str, Any], _threads: int) -> Run:
    message = f"\nno operator Foo\nin {path}"
    raise ValueError(message)


def faller(_path: str, _feed: dict[str, Any], _threads: int) -> Run:
    """Ends without a word after two runs, but for its log."""
    runs = iter(range(2))

    def run() -> list[np.ndarray]:
        if next(runs, None) is None:
            sys.stderr.write("out of cheese\n")
            os._exit(7)
        return []

    return run
