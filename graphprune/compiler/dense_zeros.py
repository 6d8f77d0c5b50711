"""Weights with many zeros whose products run dense all the same, because no sparse kernel takes them, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

from graphprune.analysis.constants import named_constants
from graphprune.analysis.products import RECURRENT
from graphprune.analysis.quantization import dequantized_readers
from graphprune.analysis.sparsity import weight_counts
from graphprune.analysis.weights import linear_weights
from graphprune.compiler.compile import lowerable
from graphprune.diagnostics import Skip
from graphprune.graph.nodes import describe
from graphprune.passes.pack_weights import why_not_multiplied
from graphprune_runtime.session import CompiledSession

MANY_ZEROS = 0.5
"""The share from which zeros were meant to save time."""

_PRODUCTS = RECURRENT | frozenset((
    *("Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "MatMul"),
    *("MatMulInteger", "QLinearConv", "QLinearMatMul"),
))  # fmt: skip
_DENSE_KERNELS = frozenset(("dense", "float32", "winograd"))


def dense_zeros(model: ir.Model, session: CompiledSession) -> list[Skip]:
    """Return the weights of products with many zeros that no sparse kernel takes: by node, with the reason.

    A weight that a sparse kernel could take, but that is faster dense, is none of them: see `kernels` of the session.
    A node that is computed by several is called after all of them: `lstm.MatMul` is part of `lstm`.

    Args:
        model: The model that was compiled; a weight that is all zero counts as none.
        session: What was made of it.
    """
    plain = lowerable(model)
    reasons = _reasons(plain)
    programs = session.description.programs
    computed = {call.node for program in programs for call in program.calls}
    notes = [note for program in programs for note in program.kernels]
    sparse = {note.node for note in notes if not {note.kernel, *note.eligible} <= _DENSE_KERNELS}
    found = []
    for name, count in weight_counts(plain).items():
        is_asked = name in reasons and MANY_ZEROS <= count.sparsity < 1
        node = next(_products(plain, name), None) if is_asked else None
        if node is not None and _has_part(node, computed) and not _has_part(node, sparse):
            reason = f"{count.sparsity:.1%} of weight '{name}' is zero, and it runs dense: {reasons[name]}"
            found.append(Skip("GP354", describe(node), reason))
    return found


def _reasons(model: ir.Model) -> dict[str, str]:
    """Why a weight has no sparse kernel, where it has none, by name; of what is packed there is none for some forms."""
    weights, skips = linear_weights(model)
    refused = [skip for weight in weights if (skip := why_not_multiplied(weight)) is not None]
    taken = {weight.name: _form(weight.tensor) for weight in weights}
    return taken | {skip.node: f"{skip.reason} [{skip.code}]" for skip in (*refused, *skips)}


def _form(tensor: ir.TensorProtocol) -> str:
    return f"no sparse kernel takes {tensor.dtype.name.lower()} of shape {list(tensor.shape.numpy())}"


def _has_part(node: ir.Node, names: Collection[str]) -> bool:
    """Whether one of the nodes `names` is `node`, or computes a part of it."""
    return any(name == node.name or name.startswith(f"{node.name}.") for name in names)


def _products(model: ir.Model, name: str) -> Iterator[ir.Node]:
    """The nodes that multiply by a constant."""
    found = named_constants(model).get(name)
    if found is not None:
        value, tensor = found
        readers = dequantized_readers(value, tensor.shape.rank())
        yield from (use.node for use in readers if use is not None and use.node.op_type in _PRODUCTS)
