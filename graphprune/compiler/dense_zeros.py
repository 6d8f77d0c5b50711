"""Weights with many zeros whose products run dense all the same, because no sparse kernel takes them, and why."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphprune.analysis.constants import named_constants
from graphprune.analysis.products import RECURRENT
from graphprune.analysis.quantization import dequantized_readers
from graphprune.analysis.sparsity import weight_counts
from graphprune.analysis.weights import linear_weights
from graphprune.diagnostics import Skip
from graphprune.graph.nodes import describe
from graphprune.passes.base import run_pass
from graphprune.passes.expand_contrib import ExpandContrib
from graphprune.passes.normalize import normalize
from graphprune.passes.pack_weights import unknown_form
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, get_stage
from graphprune_runtime.session import CompiledSession

MANY_ZEROS = 0.5
"""The share from which zeros were meant to save time."""

_PRODUCTS = RECURRENT | frozenset((
    *("Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul"),
    *("MatMulInteger", "QLinearConv", "QLinearMatMul"),
))  # fmt: skip
_DENSE_KERNELS = frozenset(("dense", "winograd"))


def dense_zeros(model: ir.Model, session: CompiledSession) -> list[Skip]:
    """Return the weights of products with many zeros that no sparse kernel takes: by node, with the reason.

    A weight that a sparse kernel could take, but that is faster dense, is none of them: see `kernels` of the session.

    Args:
        model: The model that was compiled; a weight that is all zero counts as none.
        session: What was made of it.
    """
    plain = run_pass(UnpackWeights(), model).model if get_stage(model) is Stage.PACKED else model
    plain = normalize(run_pass(ExpandContrib(), plain).model).model
    weights, skips = linear_weights(plain)
    unknown = [skip for weight in weights if (skip := unknown_form(weight)) is not None]
    counts = weight_counts(plain)
    notes = [note for program in session.description.programs for note in program.kernels]
    sparse = {note.node for note in notes if note.kernel not in _DENSE_KERNELS}
    found = []
    for skip in (*unknown, *skips):
        share = counts[skip.node].sparsity if skip.node in counts else 0.0
        node = next(_products(plain, skip.node), None)
        if MANY_ZEROS <= share < 1 and node is not None and node.name not in sparse:
            reason = f"{share:.1%} of weight '{skip.node}' is zero, and it runs dense: {skip.reason} [{skip.code}]"
            found.append(Skip("GP354", describe(node), reason))
    return found


def _products(model: ir.Model, name: str) -> Iterator[ir.Node]:
    """The nodes that multiply by a constant."""
    found = named_constants(model).get(name)
    if found is not None:
        value, tensor = found
        readers = dequantized_readers(value, tensor.shape.rank())
        yield from (use.node for use in readers if use is not None and use.node.op_type in _PRODUCTS)
