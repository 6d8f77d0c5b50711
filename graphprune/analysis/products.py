"""Products: the operators that multiply by a weight, where they read it, and what to do about others."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.graph.nodes import describe

RECURRENT = frozenset(("GRU", "LSTM", "RNN"))
"""Operators whose weights are stacked matrices: [directions, gates and outputs, inputs]."""

_ORT = "com.microsoft"
BLOCKED_DOMAIN = "com.microsoft.nchwc"
"""Of ONNX Runtime's operators on blocks of channels; their size, to which weights are cut, is nowhere in the file."""

BLOCKED_HINT = "let ONNX Runtime write the file with ORT_ENABLE_EXTENDED, not ORT_ENABLE_ALL"
"""What to do about them."""

_WEIGHTS: dict[tuple[str, str], tuple[int, ...]] = {
    **{("", name): (1,) for name in ("Conv", "ConvTranspose")},
    ("", "Gemm"): (0, 1),
    ("", "MatMul"): (0, 1),
    **{("", name): (1, 2) for name in RECURRENT},
    # What ONNX Runtime fuses them into; `transA` and `transB` mean the same there.
    (_ORT, "Attention"): (1,),
    (_ORT, "FusedConv"): (1,),
    (_ORT, "FusedGemm"): (0, 1),
    (_ORT, "FusedMatMul"): (0, 1),
}
"""By domain and operator: the operands that may be weights."""

_KEPT = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
"""Operators that stay in the graph even where all of their operands are constant."""


def reads_weight(node: ir.Node, index: int) -> bool:
    """Return whether operand `index` of `node` is one that a product multiplies by."""
    return index in _WEIGHTS.get((node.domain, node.op_type), ())


def is_recurrent(node: ir.Node) -> bool:
    """Return whether `node` is a recurrent network of ONNX."""
    return node.domain == "" and node.op_type in RECURRENT


def is_convolution(node: ir.Node) -> bool:
    """Return whether `node` is a convolution, perhaps fused with an activation."""
    return (node.domain, node.op_type) in {("", "Conv"), (_ORT, "FusedConv")}


def is_transposed(node: ir.Node) -> bool:
    """Return whether `node` is a transposed convolution, whose weight is [inputs, outputs, *kernel]."""
    return (node.domain, node.op_type) == ("", "ConvTranspose")


def why_no_product(node: ir.Node, index: int) -> tuple[str, str]:
    """Return a code and the reason why a constant that `node` reads stays dense, and what can be done about it."""
    if node.domain == BLOCKED_DOMAIN:
        return "GP312", f"is read by {describe(node)} in blocks for one processor: {BLOCKED_HINT}"
    if node.domain == _ORT:
        return "GP313", f"is read by {describe(node)} of domain '{_ORT}': run the pass expand-contrib first"
    if (node.domain, node.op_type) in _WEIGHTS:
        return "GP301", f"is read by {describe(node)} as input {index}, which is no weight: it stays dense"
    if _is_folded(node):
        return "GP301", f"is read by {describe(node)}, which makes another constant of it: `graphprune fold` first"
    return "GP301", f"is read by {describe(node)}, which takes no weight that can be pruned: it stays dense"


def _is_folded(node: ir.Node) -> bool:
    """Return whether the pass fold-constants takes the node: all that it reads is constant."""
    is_constant = all(value is None or value.const_value is not None for value in node.inputs)
    return is_constant and node.domain == "" and node.op_type not in _KEPT
