"""The description that a compiled model carries: what it takes and gives, what it is for, where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from graphprune_runtime.errors import BackendError
from graphprune_runtime.hosted import HostedNode, HostedPiece
from graphprune_runtime.interface import Dim, TensorInfo

FORMAT = 9
"""The version of compiled files, the one of `program.h`."""


HOST = "onnxruntime"
"""What the kernel of a hosted piece is called."""


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
        operations: Operations of products, two a multiply-add, zeros of sparse kernels left out; 0 for
            a kernel that is none.
        nbytes: Bytes of the buffers that it reads and writes.
    """

    node: str
    operators: str
    kernel: str
    operations: int
    nbytes: int


class BatchNote(NamedTuple):
    """How a batch is run: `samples` times a program for one of them, and why so.

    1 is a program for all at once; None is a program for one sample that runs as often as the feed has samples.
    """

    samples: int | None
    why: str


AT_ONCE = BatchNote(1, "")


@dataclass(frozen=True)
class ProgramNote:
    """The program for one set of input shapes.

    Attributes:
        inputs: Of the whole batch; an open number of samples is the first extent of the inputs that have one.
        outputs: Of the whole batch.
        batch: How the batch is run; kernels and calls are those of one run of the program.
        kernels: For each node with a weight, the kernel that it was given.
        calls: The calls of kernels, in order.
        layouts: The memory layouts that are not row-major.
        pieces: What it consists of, in order, where ONNX Runtime runs some of its nodes: programs of code, between
            which values are passed by name, and hosted pieces; each of the latter is one of `calls`.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    batch: BatchNote = AT_ONCE
    kernels: tuple[KernelNote, ...] = ()
    calls: tuple[KernelCall, ...] = ()
    layouts: tuple[LayoutNote, ...] = ()
    pieces: tuple[ProgramNote | HostedPiece, ...] = ()

    @property
    def hosted(self) -> tuple[HostedPiece, ...]:
        """The pieces that ONNX Runtime runs."""
        return tuple(piece for piece in self.pieces if isinstance(piece, HostedPiece))

    @property
    def linked(self) -> tuple[ProgramNote, ...]:
        """The programs of code that it consists of: its pieces, or itself."""
        return tuple(piece for piece in self.pieces if isinstance(piece, ProgramNote)) if self.pieces else (self,)


class Origin(NamedTuple):
    """What a file was made from, by what, and when.

    Attributes:
        tool: Name and version of the compiler.
        tvm: Version of TVM.
        date: In UTC, ISO 8601.
        model: The name of the model's graph.
        fingerprint: SHA-256 of the model's graph and weights; empty where it was not asked for.
        parameters: Elements of its weights.
        zeros: How many of them are zero.
    """

    tool: str = ""
    tvm: str = ""
    date: str = ""
    model: str = ""
    fingerprint: str = ""
    parameters: int = 0
    zeros: int = 0

    @property
    def sparsity(self) -> float:
        """The share of zeros."""
        return self.zeros / self.parameters if self.parameters else 0.0


NOT_SAID = Origin()


@dataclass(frozen=True)
class Description:
    """What a compiled model stores besides code and weights.

    Attributes:
        programs: One for each set of input shapes.
        target: What the code was compiled for.
        features: Instruction sets that the processor must have.
        threads: How many threads the code was compiled for.
        origin: Where it came from.
    """

    programs: tuple[ProgramNote, ...]
    target: str
    features: tuple[str, ...]
    threads: int
    origin: Origin = NOT_SAID

    @cached_property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs; an extent in which the programs differ is None."""
        return _joined([program.inputs for program in self.programs])

    @cached_property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs; an extent in which the programs differ is None."""
        return _joined([program.outputs for program in self.programs])

    @property
    def linked(self) -> tuple[ProgramNote, ...]:
        """The programs of code, in the order of the code's own numbers."""
        return tuple(linked for program in self.programs for linked in program.linked)

    @property
    def hosted(self) -> tuple[HostedPiece, ...]:
        """The pieces that ONNX Runtime runs."""
        return tuple(piece for program in self.programs for piece in program.hosted)

    def to_json(self) -> str:
        """The description as JSON."""
        fields = {"target": self.target, "features": self.features, "threads": self.threads}
        origin, programs = self.origin._asdict(), [_program_to_dict(program) for program in self.programs]
        return json.dumps({"format": FORMAT, **fields, "origin": origin, "programs": programs})

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read what `to_json` wrote.

        Raises:
            BackendError: it is of another version.
        """
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise BackendError(f"compiled model has format {data.get('format')}, expected {FORMAT}", code="GP408")
        programs = tuple(_program_from_dict(program) for program in data["programs"])
        origin = Origin(**data["origin"])
        return cls(programs, data["target"], tuple(data["features"]), data["threads"], origin)


def _joined(shapes: list[tuple[TensorInfo, ...]]) -> tuple[TensorInfo, ...]:
    return tuple(_join(infos) for infos in zip(*shapes, strict=True))


def _join(infos: tuple[TensorInfo, ...]) -> TensorInfo:
    extents = zip(*(info.shape for info in infos), strict=True)
    dims: list[Dim] = [each[0] if len(set(each)) == 1 else None for each in extents]
    return TensorInfo(infos[0].name, tuple(dims), infos[0].dtype)


def _program_to_dict(program: ProgramNote) -> dict[str, Any]:
    return {
        "inputs": [_to_dict(info) for info in program.inputs],
        "outputs": [_to_dict(info) for info in program.outputs],
        "batch": program.batch,
        "kernels": program.kernels,
        "calls": program.calls,
        "layouts": program.layouts,
        "pieces": [_piece_to_dict(piece) for piece in program.pieces],
    }


def _piece_to_dict(piece: ProgramNote | HostedPiece) -> dict[str, Any]:
    return {"hosted": vars(piece)} if isinstance(piece, HostedPiece) else {"program": _program_to_dict(piece)}


def _program_from_dict(data: dict[str, Any]) -> ProgramNote:
    inputs, outputs = (tuple(_from_dict(d) for d in data[key]) for key in ("inputs", "outputs"))
    kernels = tuple(KernelNote(node, kernel, why, tuple(names)) for node, kernel, why, names in data["kernels"])
    calls = tuple(KernelCall(*call) for call in data["calls"])
    layouts = tuple(LayoutNote(value, tuple(shape), tuple(order)) for value, shape, order in data["layouts"])
    pieces = tuple(map(_piece_from_dict, data["pieces"]))
    return ProgramNote(inputs, outputs, BatchNote(*data["batch"]), kernels, calls, layouts, pieces)


def _piece_from_dict(data: dict[str, Any]) -> ProgramNote | HostedPiece:
    if "program" in data:
        return _program_from_dict(data["program"])
    fields = data["hosted"]
    inputs, outputs = tuple(fields["inputs"]), tuple(fields["outputs"])
    nodes = tuple(HostedNode(*node) for node in fields["nodes"])
    return HostedPiece(inputs, outputs, fields["offset"], fields["nbytes"], nodes)


def _to_dict(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "shape": info.shape, "dtype": info.dtype.name}


def _from_dict(data: dict[str, Any]) -> TensorInfo:
    return TensorInfo(data["name"], tuple(data["shape"]), _dtype(data["dtype"]))


def _dtype(name: str) -> np.dtype[Any]:
    """NumPy's type of this name; NumPy knows bfloat16 only once `ml_dtypes` is imported."""
    if name == "bfloat16":
        try:
            import ml_dtypes  # noqa: F401
        except ImportError as error:
            message = "the model takes or gives bfloat16, which needs the package ml_dtypes: pip install ml_dtypes"
            raise BackendError(message, code="GP417") from error
    return np.dtype(name)
