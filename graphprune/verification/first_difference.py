"""The first node of two graphs whose value differs when both compute every intermediate value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.verification.comparison import Tolerance, compare
from graphprune.verification.computed import Computed, computed_values
from graphprune.verification.intermediate import node_values, run_with_outputs


@dataclass(frozen=True)
class FirstDifference:
    """The first node in topological order, and its value that differs."""

    node: str
    op_type: str
    value: str
    max_abs_error: float


def find_first_difference(
    reference: ir.Model,
    candidate: ir.Model,
    feed: Mapping[str, np.ndarray],
    tolerance: Tolerance,
    passed: Collection[str] = (),
) -> FirstDifference | None:
    """Run both models with every value that they share by name as an output, and compare in the reference's order.

    Args:
        reference: What is right.
        candidate: What is checked.
        feed: The inputs of both.
        tolerance: Which errors pass.
        passed: Names of values that are known to be right.

    Returns:
        The first difference, or None if no shared value differs.
    """
    shared = (node_values(reference).keys() & node_values(candidate).keys()) - set(passed)
    expected = run_with_outputs(reference, shared, feed)
    actual = run_with_outputs(candidate, shared, feed)
    known = {value.name: found for value, found in computed_values(reference).items()}
    for name, node in node_values(reference).items():
        if name not in shared:
            continue
        difference = compare(expected[name], actual[name], tolerance, known.get(name, Computed()))
        if difference.reason:
            return FirstDifference(node.name or name, node.op_type, name, difference.max_abs_error)
    return None
