"""The C part of every compiled model: its interface `graphprune.h`, loading, running, threads.

Imports: nothing.
"""

from pathlib import Path

INCLUDE = Path(__file__).parent
"""The folder of `graphprune.h`."""

SOURCES = tuple(sorted(INCLUDE.glob("*.c")))
"""What is compiled into every model."""

CUSTOM_OP = tuple(sorted((INCLUDE / "onnxruntime").glob("*.c")))
"""What makes a model an operator of ONNX Runtime too."""


def get_include() -> str:
    """The folder of `graphprune.h`, to compile C programs that run compiled models."""
    return str(INCLUDE)
