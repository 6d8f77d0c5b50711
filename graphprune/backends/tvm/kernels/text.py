"""What machine code follows from: a function as text, in which functions of the same code are the same.

The code of a kernel takes addresses, and how many elements its buffers hold is in it nowhere, but for checks of
bounds. Rows of a sparse weight are loops up to what the weight says: layers of one shape share their code, whatever
number of nonzeros each has.
"""

from __future__ import annotations

import hashlib
import os
import re

from graphprune.backends.tvm.kernels.view import Handle

CHECKS_VARIABLE = "GRAPHPRUNE_CHECK_BOUNDS"
"""Set in the environment, it makes compiled code check itself."""

_SIZE = re.compile(r"(?<=T\.Buffer\(\()\d+(?=,\))")
_DIGITS = 16


def checks_bounds() -> bool:
    """Whether code is to check itself."""
    return bool(os.environ.get(CHECKS_VARIABLE))


def text_of(function: Handle) -> str:
    """All of a TIR function as TVM prints it, floats with all of their digits, without the sizes of its parameters."""
    text: str = function.script(show_meta=True)
    if checks_bounds():
        return text
    start = text.index("def ")
    end = text.index("\n", start)  # parameters are on one line
    return text[:start] + _SIZE.sub("_", text[start:end]) + text[end:]


def digest_of(text: str) -> str:
    """A short name for a text, of hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
