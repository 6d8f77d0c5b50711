"""Which nodes stay in float32 so that a quantized model errs no more than it may: those that add the most error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from graphprune.calibration.ranges import Feed
from graphprune.verification.intermediate import node_values, run_with_outputs

LOOKED_AT = 4
"""Samples on which the errors of all values are compared."""


def rank_by_damage(model: ir.Model, quantized: ir.Model, names: Sequence[str], feeds: Sequence[Feed]) -> list[str]:
    """The nodes of these names, those first whose output errs the most beyond what they read.

    Errors are those of values that both models have under one name: relative, as the square of the root of their mean
    square. What a node adds is the difference between that of its output and the largest of its inputs.
    """
    nodes = {str(node.name): node for node in model.graph}
    errors = _errors(model, quantized, feeds[:LOOKED_AT])

    def added(name: str) -> float:
        read = [errors.get(str(value.name), 0.0) for value in nodes[name].inputs if value is not None]
        return errors.get(str(nodes[name].outputs[0].name), 0.0) - max(read, default=0.0)

    return sorted((name for name in names if name in nodes), key=added, reverse=True)


def _errors(model: ir.Model, quantized: ir.Model, feeds: Iterable[Feed]) -> dict[str, float]:
    """The squared relative error of each float that both models compute under one name."""
    places = {name: name for name in node_values(quantized)} | dict(_behind_integers(quantized))
    shared = set(node_values(model)) & set(places)
    wrong, whole = dict.fromkeys(shared, 0.0), dict.fromkeys(shared, 0.0)
    for feed in feeds:
        exact = run_with_outputs(model, shared, feed)
        found = run_with_outputs(quantized, {places[name] for name in shared}, feed)
        for name in shared:
            if np.issubdtype(exact[name].dtype, np.floating):
                wrong[name] += float(np.sum(np.square(found[places[name]].astype(np.float64) - exact[name])))
                whole[name] += float(np.sum(np.square(exact[name].astype(np.float64))))
    return {name: wrong[name] / whole[name] for name in shared if np.isfinite(whole[name]) and whole[name] > 0}


def _behind_integers(quantized: ir.Model) -> Iterator[tuple[str, str]]:
    """A value that becomes integers, and what these stand for: only there a Relu has been that is in their bounds."""
    for node in quantized.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None:
            yield from ((str(node.inputs[0].name), str(user.outputs[0].name)) for user in node.outputs[0].consumers())


def fewest(ranked: Sequence[str], suffices: Callable[[Sequence[str]], bool]) -> Sequence[str]:
    """The fewest of the first ones that suffice, by halving: `suffices` is true of all of them."""
    low, high = 0, len(ranked)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(ranked[:middle]) else (middle + 1, high)
    return ranked[:low]
