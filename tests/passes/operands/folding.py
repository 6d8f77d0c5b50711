"""Small models that lose channels, and what a node of them is afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.passes import FoldChannels
from graphprune.passes.base import run_pass
from tests.analysis.channels.masking import check_equal
from tests.analysis.channels.test_groups import model_of
from tests.weighted import weight_of

Zero = Mapping[str, Any]
"""The index of what is zero, by weight."""


def folded(text: str, zero: Zero, opset: int = 20) -> ir.Model:
    """Return what `FoldChannels` leaves of a model some of whose weights are zero; it is the same function."""
    model = model_of(text, opset)
    for name, index in zero.items():
        weight_of(model, name)[index] = 0
    result = run_pass(FoldChannels(), model)
    assert result.changed
    check_equal(model, result.model)
    return result.model


def find(model: ir.Model, op_type: str) -> ir.Node:
    """Return the one node of an operator."""
    (found,) = (node for node in model.graph if node.op_type == op_type)
    return found


def operators(model: ir.Model) -> list[str]:
    """Return the operators in order, but for constants."""
    return [node.op_type for node in model.graph if node.op_type != "Constant"]


def constant(model: ir.Model, node: ir.Node, index: int) -> npt.NDArray[Any]:
    """Return a constant operand."""
    value = node.inputs[index]
    assert value is not None
    producer = value.producer()
    if producer is None:
        return weight_of(model, str(value.name))
    return np.asarray(producer.attributes["value"].as_tensor().numpy())
