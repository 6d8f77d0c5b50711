"""The first node of two graphs whose value differs when both compute every intermediate value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for
from graphprune.verification.comparison import Tolerance, compare


@dataclass(frozen=True)
class FirstDifference:
    """The first node in topological order, and its value that differs."""

    node: str
    op_type: str
    value: str
    max_abs_error: float


def find_first_difference(
    reference: ir.Model, candidate: ir.Model, feed: Mapping[str, np.ndarray], tolerance: Tolerance
) -> FirstDifference | None:
    """Run both models with every value that they share by name as an output, and compare in the reference's order.

    Returns:
        The first difference, or None if no shared value differs.
    """
    shared = _values(reference).keys() & _values(candidate).keys()
    expected = _run_with_outputs(reference, shared, feed)
    actual = _run_with_outputs(candidate, shared, feed)
    for name, node in _values(reference).items():
        if name not in shared:
            continue
        difference = compare(expected[name], actual[name], tolerance)
        if difference.reason:
            return FirstDifference(node.name or name, node.op_type, name, difference.max_abs_error)
    return None


def _values(model: ir.Model) -> dict[str, ir.Node]:
    """Every tensor that a node of the main graph computes, by name, with its node, in topological order."""
    return {
        value.name: node
        for node in model.graph
        for value in node.outputs
        if value.name and (value.type is None or isinstance(value.type, ir.TensorType))
    }


def _run_with_outputs(model: ir.Model, names: set[str], feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    clone = model.clone()
    present = {value.name for value in clone.graph.outputs}
    for name, node in _values(clone).items():
        if name in names and name not in present:
            clone.graph.outputs.extend(value for value in node.outputs if value.name == name)
    session = session_for(clone, optimize=False)
    wanted = sorted(names)
    return dict(zip(wanted, session.run(wanted, feed), strict=True))
