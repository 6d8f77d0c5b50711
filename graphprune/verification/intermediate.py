"""What a model computes on its way: values between its nodes, as ONNX Runtime gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from graphprune.backends.onnxruntime import session_for


def node_values(model: ir.Model) -> dict[str, ir.Node]:
    """Every tensor that a node of the main graph computes, by name, with its node, in topological order."""
    return {
        value.name: node
        for node in model.graph
        for value in node.outputs
        if value.name and (value.type is None or isinstance(value.type, ir.TensorType))
    }


def with_outputs(model: ir.Model, names: Collection[str]) -> ir.Model:
    """Return a copy of `model` that gives the values of these names too, behind its own outputs."""
    clone = model.clone()
    present = {value.name for value in clone.graph.outputs}
    for name, node in node_values(clone).items():
        if name in names and name not in present:
            clone.graph.outputs.extend(value for value in node.outputs if value.name == name)
    return clone


def run_with_outputs(model: ir.Model, names: set[str], feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a copy of `model` with the values of these names as outputs; an input's is what is fed."""
    session = session_for(with_outputs(model, names), optimize=False)
    wanted = sorted(names - feed.keys())
    found = dict(zip(wanted, session.run(wanted, feed), strict=True)) if wanted else {}
    return found | {name: feed[name] for name in names & feed.keys()}
