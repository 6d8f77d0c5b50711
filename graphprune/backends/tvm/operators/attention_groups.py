"""Which groups are attention: a product of two activations, its softmax, and the product of this with a third."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from graphprune.backends.tvm.kernels.attention import DTYPE
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import is_constant, static_dtype, static_shape


def join_attention(groups: Sequence[Group], machine: Machine) -> list[Group]:
    """The groups, where those whose outputs are only parts of an attention come before the last of its groups.

    Fewer queries than a vector has lanes stay as they are, since vectors run over queries; so do scores that are an
    attention themselves.
    """
    by_output = {group.output: group for group in groups}
    joined: dict[Group, tuple[Group, ...]] = {}
    for group in groups:
        before = _before(group, by_output, machine)
        if before and before[0] not in joined:
            joined[group] = before
    inner = {group for before in joined.values() for group in before}
    return [replace(group, before=joined.get(group, ())) for group in groups if group not in inner]


def _before(group: Group, by_output: Mapping[ir.Value, Group], machine: Machine) -> tuple[Group, ...]:
    """The groups of the scores and of their softmax, if this one multiplies values with them."""
    chain = list(_sources(group, by_output))
    if [each.anchor.op_type for each in (group, *chain)] != ["MatMul", "Softmax", "MatMul"]:
        return ()
    softmax, scores = chain
    fits = _is_over_keys(softmax) and all(_is_of_matrices(each) for each in (scores, group))
    return (scores, softmax) if fits and static_shape(scores.output)[-2] >= machine.lanes else ()


def _sources(group: Group, by_output: Mapping[ir.Value, Group]) -> Iterator[Group]:
    """Up to two groups, each the only source of what the one behind it reads first, and read by that alone."""
    for _ in range(2):
        value = group.anchor.inputs[0]
        if value is None or value not in by_output or value.is_graph_output() or len(value.uses()) != 1:
            return
        group = by_output[value]
        yield group


def _is_over_keys(group: Group) -> bool:
    shape = static_shape(group.output)
    return group.anchor.attributes.get_int("axis", -1) in (-1, len(shape) - 1)


def _is_of_matrices(group: Group) -> bool:
    """Whether it multiplies activations of float32, each matrix of the first operand by one of the second."""
    node = group.anchor
    shape = static_shape(node.outputs[0])
    left, right = node.inputs
    if left is None or right is None or is_constant(right) or 0 in (*static_shape(left), *static_shape(right)):
        return False
    ranks = {len(static_shape(left)), len(shape)}
    fits = ranks == {len(shape)} and len(shape) >= 2 <= len(static_shape(right))
    return fits and static_shape(left)[:-2] == shape[:-2] and static_dtype(node.outputs[0]) == DTYPE
