"""The description that a compiled model carries: inputs, outputs, target, and its kernels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401 - NumPy knows bfloat16 by name from then on
import numpy as np

from graphprune.errors import BackendError
from graphprune.runtime.interface import TensorInfo

FORMAT = 7

DESCRIPTION = "graphprune_description"
"""Name of the function in a compiled library that returns the session's description, as bytes of JSON."""


class KernelNote(NamedTuple):
    """Which kernel a node with a weight was given, why, and which ones could have been."""

    node: str
    kernel: str
    why: str
    eligible: tuple[str, ...]


class LayoutNote(NamedTuple):
    """The memory layout of a value that is not row-major: its shape, and its axes from slowest to fastest."""

    value: str
    shape: tuple[int, ...]
    order: tuple[int, ...]


class KernelCall(NamedTuple):
    """One call of a kernel, in the order in which they run.

    Attributes:
        node: The node that the kernel was made for; others are fused behind it.
        operators: All of these, as `Conv+Add+Relu`.
        kernel: What the kernel does.
        operations: Floating-point operations of products, two a multiply-add, zeros of sparse kernels left out; 0 for
            a kernel that is none.
        nbytes: Bytes of the buffers that it reads and writes.
    """

    node: str
    operators: str
    kernel: str
    operations: int
    nbytes: int


class BatchNote(NamedTuple):
    """How a batch is run: `samples` times a program for one of them, and why so. 1 is a program for all at once."""

    samples: int
    why: str


AT_ONCE = BatchNote(1, "")


@dataclass(frozen=True)
class Description:
    """What a compiled model stores besides code and weights."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    target: str
    features: tuple[str, ...]
    threads: int
    weights: tuple[tuple[str, int], ...] = ()
    """Element type and count of each weight."""
    kernels: tuple[KernelNote, ...] = ()
    calls: tuple[KernelCall, ...] = ()
    layouts: tuple[LayoutNote, ...] = ()
    batch: BatchNote = AT_ONCE
    """Inputs and outputs are those of the whole batch, kernels and calls those of one run of the program."""

    def to_json(self) -> str:
        """The description as JSON."""
        return json.dumps(
            {
                "format": FORMAT,
                "inputs": [_to_dict(info) for info in self.inputs],
                "outputs": [_to_dict(info) for info in self.outputs],
                "target": self.target,
                "features": self.features,
                "threads": self.threads,
                "weights": self.weights,
                "kernels": self.kernels,
                "calls": self.calls,
                "layouts": self.layouts,
                "batch": self.batch,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read what `to_json` wrote.

        Raises:
            BackendError: it is of another version.
        """
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise BackendError(f"compiled model has format {data.get('format')}, expected {FORMAT}", code="GP408")
        inputs, outputs = (tuple(_from_dict(d) for d in data[key]) for key in ("inputs", "outputs"))
        weights = tuple((dtype, count) for dtype, count in data["weights"])
        features, threads = tuple(data["features"]), data["threads"]
        kernels = tuple(KernelNote(node, kernel, why, tuple(names)) for node, kernel, why, names in data["kernels"])
        calls = tuple(KernelCall(*call) for call in data["calls"])
        layouts = tuple(LayoutNote(value, tuple(shape), tuple(order)) for value, shape, order in data["layouts"])
        batch = BatchNote(*data["batch"])
        return cls(inputs, outputs, data["target"], features, threads, weights, kernels, calls, layouts, batch)


def _to_dict(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "shape": info.shape, "dtype": info.dtype.name}


def _from_dict(data: dict[str, Any]) -> TensorInfo:
    return TensorInfo(data["name"], tuple(data["shape"]), np.dtype(data["dtype"]))
