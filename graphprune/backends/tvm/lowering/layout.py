"""The layout plan: the memory layout in which each value should be written, so that its readers need no conversion.

Preferences start at the operators that have one (a matrix product with a constant weight prefers its input
channel-major: the channels slowest, the tokens contiguous) and travel backwards through everything that can write any
order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir

from graphprune.backends.tvm.kernels.view import reshape_blocks
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.packed.forms import CALLS

Order = tuple[int, ...]
"""The axes of a value from slowest to fastest in memory."""

Rule = Callable[[ir.Node, Order | None], dict[int, Order]]
"""From a node and the order wanted of its output to the orders it wants of its inputs, by input index."""


def plan_layouts(
    groups: Sequence[Group], elementwise: Callable[[str], bool], by_row: Collection[ir.Node] = ()
) -> dict[ir.Value, Order]:
    """The preferred memory order of each value of which a reader has a preference; all others may have any order.

    The first reader in graph order wins where readers differ. Products in `by_row` read the channels of a position
    next to each other.
    """
    wanted: dict[ir.Value, Order] = {}
    for group in reversed([each for joined in groups for each in (*joined.before, joined)]):
        order = wanted.get(group.output)
        for node in reversed((group.anchor, *group.region)):
            if order is None and node.op_type == "Transpose" and node.outputs[0].is_graph_output():
                order = tuple(range(_rank(node.outputs[0])))  # as callers get it
            rule = _same_order if elementwise(node.op_type) else RULES.get(node.op_type, _no_preference)
            rule = _row_major if node in by_row else rule
            for index, preference in rule(node, order).items():
                value = node.inputs[index]
                if value is not None:
                    wanted[value] = preference
    return wanted


def channel_major(rank: int) -> Order:
    """The last axis slowest, then the others in order."""
    return (rank - 1, *range(rank - 1))


def _rank(value: ir.Value | None) -> int:
    return len(value.shape) if value is not None and value.shape is not None else 0


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    return tuple(int(d) for d in value.shape) if value is not None and value.shape is not None else ()  # type: ignore[arg-type]


def _no_preference(_node: ir.Node, _order: Order | None) -> dict[int, Order]:
    return {}


def _same_order(node: ir.Node, order: Order | None) -> dict[int, Order]:
    """Inputs of the output's own shape should lie as the output does."""
    if order is None:
        return {}
    shape = _shape(node.outputs[0])
    return {i: order for i, value in enumerate(node.inputs) if value is not None and _shape(value) == shape}


def _first_input(_node: ir.Node, order: Order | None) -> dict[int, Order]:
    return {} if order is None else {0: order}


def _row_major(node: ir.Node, _order: Order | None) -> dict[int, Order]:
    return {0: tuple(range(_rank(node.inputs[0])))}


def _linear(node: ir.Node, _order: Order | None) -> dict[int, Order]:
    rank = _rank(node.inputs[0])
    if rank < 2 or node.attributes.get_int("transA", 0) == 1:
        return {}
    return {0: channel_major(rank)}


def _matmul(node: ir.Node, order: Order | None) -> dict[int, Order]:
    """Two activations: the operand that carries the output's fastest axis should have that axis fastest."""
    if node.inputs[1] is not None and node.inputs[1].is_initializer():
        return _linear(node, order)
    rank_a, rank_b = _rank(node.inputs[0]), _rank(node.inputs[1])
    if rank_a < 2 or rank_b < 2:
        return {}
    if order is not None and order[-1] == len(order) - 2:
        return {0: (*range(rank_a - 2), rank_a - 1, rank_a - 2)}
    return {1: tuple(range(rank_b))}


def _transpose(node: ir.Node, order: Order | None) -> dict[int, Order]:
    if order is None:
        return {}
    rank = len(order)
    permutation = node.attributes.get_ints("perm", list(reversed(range(rank))))
    return {0: tuple(permutation[axis] for axis in order)}


def _reshape(node: ir.Node, order: Order | None) -> dict[int, Order]:
    """Carry an order through merges and splits of axes; a merge or split whose axes are not together has none."""
    old, new = _shape(node.inputs[0]), _shape(node.outputs[0])
    if order is None or 0 in old or 0 in new:
        return {}
    result: list[int] = []
    pending = [axis for axis in order if new[axis] != 1]
    blocks = reshape_blocks(old, new)
    while pending:
        old_axes, new_axes = next(block for block in blocks if pending[0] in block[1])
        axes = [axis for axis in new_axes if new[axis] != 1]
        if pending[: len(axes)] != axes:
            return {}
        del pending[: len(axes)]
        result.extend(axis for axis in old_axes if old[axis] != 1)
    return {0: (*(axis for axis in range(len(old)) if axis not in result), *result)}


RULES: dict[str, Rule] = {
    **{name: _linear for name, (_, operator) in CALLS.items() if operator != "Conv"},
    "Gemm": _linear,
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _row_major),
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Flatten"), _reshape),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"), _first_input),
}
