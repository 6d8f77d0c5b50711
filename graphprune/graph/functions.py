"""Model-local functions of the domain `graphprune`: adding one to a model, and removing those without a call."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir
from onnx import parser

DOMAIN = "graphprune"
"""Domain of graphprune's model-local functions."""

VERSION = 1
"""Version of the domain: what the calls and their tensors look like."""

PACKED_PREFIX = "Packed"
"""What the names of the functions of packed weights begin with."""


def add_function(model: ir.Model, text: str) -> None:
    """Make sure that `model` has the function that `text` defines; one of that name that is there stays."""
    function = ir.serde.deserialize_function(parser.parse_function(text))
    model.functions.setdefault(function.identifier(), function)
    model.graph.opset_imports[DOMAIN] = VERSION


def drop_uncalled(model: ir.Model, names: Collection[str]) -> None:
    """Remove those of the functions `names` that no call is left of, and the domain with the last of all functions."""
    called = {node.op_identifier() for node in model.graph.all_nodes()}
    for identifier in list(model.functions):
        if identifier[0] == DOMAIN and identifier[1] in names and identifier not in called:
            del model.functions[identifier]
    if not any(identifier[0] == DOMAIN for identifier in model.functions):
        model.graph.opset_imports.pop(DOMAIN, None)


def is_packed(node: ir.Node) -> bool:
    """Return whether `node` is a call of a packed weight, which only the stage `PACKED` allows."""
    return node.domain == DOMAIN and node.op_type.startswith(PACKED_PREFIX)
