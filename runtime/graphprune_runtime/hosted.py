"""The nodes of a compiled model that have no kernel: ONNX Runtime runs them, as pieces inside the session."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from graphprune_runtime.errors import BackendError


class HostedNode(NamedTuple):
    """A node that ONNX Runtime runs: its name, its operator with the domain, and why it has no kernel."""

    node: str
    operator: str
    why: str


@dataclass(frozen=True)
class HostedPiece:
    """Nodes that ONNX Runtime runs at once, as a model of their own.

    Attributes:
        inputs: The values that they read, by name.
        outputs: The values that they give to other pieces, or to the caller.
        offset: Where their ONNX model lies among the weights, in bytes.
        nbytes: How long it is.
        nodes: What it holds.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    offset: int
    nbytes: int
    nodes: tuple[HostedNode, ...]


class HostedSession:
    """The session of a piece; ONNX Runtime must be installed."""

    def __init__(self, piece: HostedPiece, model: bytes, threads: int) -> None:
        """Open the piece's ONNX model.

        Raises:
            BackendError: ONNX Runtime is not installed, or rejects the model.
        """
        self._piece = piece
        self._session = open_in_onnxruntime(model, threads, spin=False)

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The piece's outputs from the values there are: arrays, or lists of them for sequences.

        Raises:
            BackendError: ONNX Runtime fails.
        """
        feed = {name: values[name] for name in self._piece.inputs}
        try:
            results = self._session.run(list(self._piece.outputs), feed)
        except Exception as error:  # its exception classes share no base
            raise BackendError(f"onnxruntime: {first_line(error)}", code="GP481") from error
        return dict(zip(self._piece.outputs, results, strict=True))


def open_in_onnxruntime(model: str | bytes, threads: int, *, optimize: bool = True, spin: bool = True) -> Any:  # noqa: ANN401 - ONNX Runtime has no types
    """An `onnxruntime.InferenceSession` on the CPU, of a path or a model's bytes.

    Args:
        model: What to open.
        threads: Size of the thread pool of one operator.
        optimize: False turns every graph optimisation off.
        spin: Whether idle threads wait busily; False leaves the processors to others.

    Raises:
        BackendError: ONNX Runtime is not installed, or rejects the model.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would log on stderr arrives as an exception too
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base
        raise BackendError(f"onnxruntime: {first_line(error)}", code="GP483") from error


def first_line(error: Exception) -> str:
    """The first line of an error of ONNX Runtime that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _onnxruntime() -> ModuleType:
    """The package, which takes 0.1 s to import, and which only files with hosted nodes need.

    Raises:
        BackendError: it is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        message = "the model runs some of its nodes on ONNX Runtime: pip install onnxruntime"
        raise BackendError(message, code="GP485") from error
