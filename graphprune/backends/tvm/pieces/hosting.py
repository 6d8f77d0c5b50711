"""Programs in pieces: the notes of the whole, from those of code and of what ONNX Runtime runs between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.pieces.partition import Part
from graphprune.backends.tvm.program.recording import Weights
from graphprune.errors import UnsupportedModelError
from graphprune.graph.nodes import operator_name
from graphprune_runtime.description import HOST, BatchNote, KernelCall, ProgramNote
from graphprune_runtime.hosted import HostedNode, HostedPiece
from graphprune_runtime.interface import TensorInfo

MOST_BYTES = 1_800_000_000
"""Of the weights of a hosted piece: messages of protobuf end at two gigabytes."""


def host(model: ir.Model, part: Part, refused: Mapping[ir.Node, str], weights: Weights) -> HostedPiece:
    """A part as a piece for ONNX Runtime; its model becomes one of `weights`.

    Raises:
        UnsupportedModelError: The weights of its nodes do not fit a model in one file.
    """
    nbytes = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    if nbytes > MOST_BYTES:
        message = f"nodes with {nbytes / 1e9:.1f} GB of weights cannot be handed to ONNX Runtime in one piece"
        raise UnsupportedModelError(message, code="GP489")
    content = np.frombuffer(ir.to_proto(model).SerializeToString(), np.uint8)
    number = weights.add(content)
    inputs, outputs = (_names(values) for values in (model.graph.inputs, model.graph.outputs))
    nodes = tuple(HostedNode(node.name or "", operator_name(node), refused[node]) for node in part.nodes)
    return HostedPiece(inputs, outputs, weights.offsets()[number], content.size, nodes)


def whole_program(
    inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], pieces: Sequence[ProgramNote | HostedPiece]
) -> ProgramNote:
    """The note of a program in pieces: all kernels and calls, a hosted piece being one call."""
    own = [piece for piece in pieces if isinstance(piece, ProgramNote)]
    return ProgramNote(
        tuple(inputs),
        tuple(outputs),
        BatchNote(1, f"it runs in {len(pieces)} pieces, {len(pieces) - len(own)} of them on ONNX Runtime"),
        tuple(note for piece in own for note in piece.kernels),
        tuple(call for piece in pieces for call in _calls(piece)),
        tuple(note for piece in own for note in piece.layouts),
        tuple(pieces),
    )


def _calls(piece: ProgramNote | HostedPiece) -> tuple[KernelCall, ...]:
    if isinstance(piece, ProgramNote):
        return piece.calls
    operators = "+".join(dict.fromkeys(node.operator for node in piece.nodes))
    return (KernelCall(piece.nodes[0].node, operators, HOST, 0, 0),)


def _names(values: Sequence[ir.Value]) -> tuple[str, ...]:
    return tuple(value.name or "" for value in values)
