"""Nodes whose results differ from run to run, so that they are no constants whatever they read."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.passes.rewriting import constant_of

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Operators that draw numbers."""

_TRAINING_MODE = 2
"""The input of Dropout that says whether it drops anything."""


def is_random(node: ir.Node) -> bool:
    """Whether the node draws numbers, as Dropout does in training."""
    if node.domain != "":
        return False
    if node.op_type != "Dropout" or len(node.inputs) <= _TRAINING_MODE or node.inputs[_TRAINING_MODE] is None:
        return node.op_type in RANDOM
    training = constant_of(node.inputs[_TRAINING_MODE])
    return training is None or bool(training.numpy())
