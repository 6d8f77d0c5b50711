"""The rewrites of all of ONNX Runtime's operators that have one."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphprune.analysis.products import BLOCKED_DOMAIN, BLOCKED_HINT
from graphprune.passes.contrib.attention import ATTENTION
from graphprune.passes.contrib.blockwise import BLOCKWISE
from graphprune.passes.contrib.contrib import OPEN, CannotRewriteError, Contrib
from graphprune.passes.contrib.dynamic import DYNAMIC
from graphprune.passes.contrib.fused import FUSED
from graphprune.passes.contrib.levels import LEVELS
from graphprune.passes.contrib.normalizing import NORMALIZING, SIMPLIFIED
from graphprune.passes.contrib.quantized import QUANTIZED
from graphprune.passes.definition import Definition, has_types, is_static

_DOMAIN = "com.microsoft"

CONTRIB: dict[tuple[str, str], Contrib] = {
    **{
        (_DOMAIN, name): entry
        for table in (FUSED, NORMALIZING, ATTENTION, QUANTIZED, LEVELS, DYNAMIC, BLOCKWISE)
        for name, entry in table.items()
    },
    ("", "SimplifiedLayerNormalization"): SIMPLIFIED,
}
"""By domain and operator."""


def is_contrib(node: ir.Node) -> bool:
    """Whether the node is one of ONNX Runtime's that has a rewrite, or none for a reason."""
    return node.domain == BLOCKED_DOMAIN or (node.domain, node.op_type) in CONTRIB


def contrib_body(node: ir.Node) -> onnx.FunctionProto:
    """Return what the node computes, in operators of ONNX.

    Raises:
        CannotRewriteError: It computes on blocks of channels (GP145); it has an attribute (GP155), an input or output
            (GP156) or a value of one (GP157) that its rewrite does not know; or types or shapes are open (GP158).
    """
    if node.domain == BLOCKED_DOMAIN:
        raise CannotRewriteError("GP145", f"it computes on blocks for one processor: {BLOCKED_HINT}")
    entry = CONTRIB[node.domain, node.op_type]
    _check(node, entry)
    if not has_types(node) or (entry.is_static and not is_static(node)):
        raise CannotRewriteError("GP158", OPEN)
    body = entry.define(Definition(node))
    assert body is not None
    return body


def why_not_rewritten(node: ir.Node) -> str | None:
    """Return why `contrib_body` refuses a node; None where it does not, or where there is no rewrite at all."""
    try:
        if is_contrib(node):
            contrib_body(node)
    except CannotRewriteError as error:
        return error.why
    return None


def _check(node: ir.Node, entry: Contrib) -> None:
    unknown = node.attributes.keys() - entry.attributes
    if unknown:
        raise CannotRewriteError("GP155", f"attribute '{min(unknown)}' is not one that its rewrite considers")
    for index, value in enumerate(node.inputs):
        if value is not None and index not in entry.inputs:
            raise CannotRewriteError("GP156", f"input {index} ('{value.name}') is not one that its rewrite considers")
    for index, value in enumerate(node.outputs):
        if (value.uses() or value.is_graph_output()) and index not in entry.outputs:
            raise CannotRewriteError("GP156", f"output {index} ('{value.name}') is not one that its rewrite computes")
