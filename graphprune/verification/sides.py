"""Opening what is verified: a file, a model in memory or a session becomes a session, with its graph if it has one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from typing import TypeAlias

import onnx_ir as ir

from graphprune.backends.onnxruntime import OnnxRuntimeSession, session_for, session_for_file
from graphprune.errors import InputError
from graphprune.frontends.onnx_file import load
from graphprune_runtime.interface import Session
from graphprune_runtime.loading import is_compiled, load_session

Side: TypeAlias = "str | PathLike[str] | ir.Model | Session"
"""What can be verified: an `.onnx` file, a compiled file, a model in memory or a session (ONNX Runtime's own too)."""


@dataclass(frozen=True)
class OpenSide:
    """Something to run, and the graph it runs if that is known."""

    label: str
    session: Session
    model: ir.Model | None


def open_side(side: object, label: str) -> OpenSide:
    """Open `side`; models and `.onnx` files run on ONNX Runtime with every optimisation off.

    A file is run by ONNX Runtime as it lies on disk, so an error of our reader cannot hide in both sides.

    Raises:
        InputError: `side` is none of the things that can be verified.
        GraphPruneError: the file cannot be read or run.
    """
    if isinstance(side, (str, os.PathLike)):
        return _open_file(side)
    if isinstance(side, ir.Model):
        return OpenSide(label, session_for(side, optimize=False), side)
    if isinstance(side, Session):
        return OpenSide(label, side, None)
    if type(side).__module__.startswith("onnxruntime."):
        return OpenSide(label, OnnxRuntimeSession(side), None)
    hint = "; make a model of it with onnx_ir.from_proto" if type(side).__name__ == "ModelProto" else ""
    message = f"{label} is a {type(side).__name__}, expected a path, an onnx_ir.Model or a session{hint}"
    raise InputError(message, code="GP566")


def _open_file(path: str | PathLike[str]) -> OpenSide:
    label = os.fspath(path)
    if is_compiled(path):
        return OpenSide(label, load_session(path), None)
    model = load(path)
    return OpenSide(label, session_for_file(path, optimize=False), model)
