"""Opaque operators: those that neither ONNX nor the model defines, so that nobody here knows what they compute.

Passes leave such nodes, and what they read and give, as they are. ONNX's own tools take them in unknown domains only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import onnx
import onnx_ir as ir

_SEAL = "graphprune.opaque/"  # before the domain of an opaque operator while onnx looks at it
_ADOPTED = {("", "LayerNormalization"): 17}
"""What ONNX Runtime has in ONNX's domain at any opset, and ONNX, with the same meaning, from this one on."""


def is_opaque(model: ir.Model, node: ir.Node) -> bool:
    """Whether neither ONNX nor the model defines the operator of `node`."""
    if node.op_identifier() in model.functions:
        return False
    return not _is_defined(node.domain, node.op_type, model.opset_imports.get(node.domain, 0))


def seal(proto: onnx.ModelProto) -> None:
    """Move opaque operators of ONNX's own domains into unknown ones: onnx takes those as they are."""
    functions = {(function.domain, function.name) for function in proto.functions}
    sealed = set()
    for owner in (proto, *proto.functions):
        versions = {each.domain: each.version for each in owner.opset_import}
        for node in _nodes(owner.graph.node if isinstance(owner, onnx.ModelProto) else owner.node):
            known = (node.domain, node.op_type) in functions or node.domain not in _known_domains()
            if not known and not _is_defined(node.domain, node.op_type, versions.get(node.domain, 0)):
                node.domain = _SEAL + node.domain
                sealed.add(node.domain)
        owner.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in sorted(sealed - versions.keys()))


def unseal(model: ir.Model) -> None:
    """Undo `seal`."""
    for node in model.graph.all_nodes():
        node.domain = node.domain.removeprefix(_SEAL)
    for domain in [each for each in model.opset_imports if each.startswith(_SEAL)]:
        del model.opset_imports[domain]


@cache
def _known_domains() -> set[str]:
    return {schema.domain for schema in onnx.defs.get_all_schemas_with_history()}


def _is_defined(domain: str, operator: str, version: int) -> bool:
    return onnx.defs.has(operator, domain) and version >= _ADOPTED.get((domain, operator), 0)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
