"""The interface of a graph: what its callers depend on."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphprune.errors import PostconditionError


def verify_interface(pass_name: str, before: ir.Model, after: ir.Model) -> None:
    """Check that names, element types and ranks of the graph's inputs and outputs are as they were.

    What was unknown before may be known after.

    Raises:
        PostconditionError: They differ (GP272).
    """
    _verify(pass_name, "input", before.graph.inputs, after.graph.inputs)
    _verify(pass_name, "output", before.graph.outputs, after.graph.outputs)


def _verify(pass_name: str, kind: str, before: Sequence[ir.Value], after: Sequence[ir.Value]) -> None:
    if len(before) != len(after):
        raise _broken(pass_name, f"graph has {len(after)} {kind}s, expected {len(before)}")
    for old, new in zip(before, after, strict=True):
        if old.name != new.name:
            raise _broken(pass_name, f"{kind} '{new.name}' was named '{old.name}'")
        if old.dtype is not None and old.dtype != new.dtype:
            raise _broken(pass_name, f"{kind} '{new.name}' has type {new.dtype}, expected {old.dtype}")
        if old.shape is not None and (new.shape is None or old.shape.rank() != new.shape.rank()):
            raise _broken(pass_name, f"{kind} '{new.name}' has shape {new.shape}, expected rank {old.shape.rank()}")


def _broken(pass_name: str, what: str) -> PostconditionError:
    return PostconditionError(f"{pass_name}: the pass changed the interface: {what}", code="GP272")
