"""Whether it is faster to run a batch sample by sample than layer by layer."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.analysis.cost import NodeCost, model_cost
from graphprune.analysis.products import RECURRENT
from graphprune.backends.tvm.kernels.builder import Machine

GAIN = 0.2
"""The share of a layer's time that it takes longer where values of the whole batch do not fit L2 (measured)."""

OPERATIONS_PER_BYTE = 2
"""Operations that take as long as fetching a byte of a weight (measured)."""

OPERATIONS_PER_CALL = 100_000
"""Operations that take as long as calling a kernel (measured)."""

BALANCE = 0.8
"""The share of the threads that must have a sample to compute, on average: they share a layer about as well."""


def reason_to_keep(model: ir.Model, samples: int, machine: Machine) -> str | None:
    """Why each layer should compute the whole batch at once; None if running sample by sample is faster.

    Sample by sample, each layer is called, and reads its weight, once a sample: too often where layers are short.
    """
    rounds = -(-samples // machine.threads)
    if samples < BALANCE * rounds * machine.threads:
        return f"{machine.threads} threads cannot share {samples} samples evenly"
    if any(node.op_type in RECURRENT for node in model.graph):
        return "all samples share what each step of a recurrent layer reads of its weight"
    nodes = model_cost(model).nodes
    gain = sum(GAIN * _operations(node) for node in nodes if (node.activation_bytes or 0) > machine.l2_bytes)
    loss = sum(_loss(node, samples) for node in nodes if node.macs)
    return None if gain > loss else "its values fit the cache, or one sample is too little work for its layers"


def _operations(node: NodeCost) -> int:
    return 2 * (node.macs or 0)


def _loss(node: NodeCost, samples: int) -> float:
    """Operations that could be done in the time lost by calling the layer and reading its weight for each sample."""
    weight, operations = OPERATIONS_PER_BYTE * node.weight_bytes, _operations(node)
    reading = samples * max(operations / samples, weight) - max(operations, weight)
    return reading + (samples - 1) * OPERATIONS_PER_CALL
