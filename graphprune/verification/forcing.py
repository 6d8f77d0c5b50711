"""Two graphs that compute from the same integers: what one rounds another way at a tie does not travel any further."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from graphprune.verification.computed import nested_reads
from graphprune.verification.roundings import element_type, integers_of, roundings

_PREFIX = "graphprune.forced."


@dataclass(frozen=True)
class Shared:
    """What two graphs can be forced to share.

    Attributes:
        names: Values of integers that both compute from shared ones, in the reference's order.
        outputs: Outputs that both compute so.
        others: How many values the reference rounds that are not among them.
    """

    names: tuple[str, ...]
    outputs: frozenset[str]
    others: int


def shared_integers(reference: ir.Model, candidate: ir.Model) -> Shared:
    """Find the integers that both graphs have under one name and in one type, and compute alike but for one rounding.

    A value behind another that is rounded and that only one of them has, or has inside of a node, is not among them:
    ties travel through that one.
    """
    reference, candidate = (_typed(model) for model in (reference, candidate))
    types = {value.name: element_type(value) for node in candidate.graph for value in node.outputs}
    rounded = integers_of(roundings(reference))
    names = [str(value.name) for value in rounded if types.get(value.name) == element_type(value)]
    while True:
        loose = _loose_values(reference, names) | _loose_values(candidate, names)
        kept = [name for name in names if name not in loose]
        if kept == names:
            break
        names = kept
    outputs = frozenset(str(value.name) for value in reference.graph.outputs) - loose
    return Shared(tuple(names), outputs, len(roundings(reference)) - len(names))


def forced_name(name: str) -> str:
    """Return the name of the input that a forced value is read from."""
    return _PREFIX + name


def forced(model: ir.Model, ranks: Mapping[str, int]) -> ir.Model:
    """Return a copy in which some values are inputs wherever they are read; they are computed as before.

    Args:
        model: Stays as it is.
        ranks: How many axes each of the values has, by name.
    """
    clone = _typed(model)
    wanted = [value for node in clone.graph for value in node.outputs if value.name in ranks]
    for value in wanted:
        dtype = element_type(value)
        assert dtype is not None, "shared integers have a type"
        name, shape = str(value.name), ir.Shape([None] * ranks[str(value.name)])
        given = ir.Value(name=forced_name(name), type=ir.TensorType(dtype), shape=shape)
        for user, index in tuple(value.uses()):
            user.replace_input_with(index, given)
        clone.graph.inputs.append(given)
    return clone


def _typed(model: ir.Model) -> ir.Model:
    clone = model.clone()
    ShapeInferencePass()(clone)
    return clone


def _loose_values(model: ir.Model, names: Collection[str]) -> set[str]:
    """The names of values that a rounding changes which is not forced; of a forced value, if what it rounds is one."""
    rounding = set(roundings(model))
    loose: set[str] = set()
    for node in model.graph:
        is_loose = any(name in loose and name not in names for name in _names_read(node))
        rounds_freely = node in rounding and not any(value.name in names for value in node.outputs)
        if is_loose or rounds_freely:
            loose.update(str(value.name) for value in node.outputs)
    return loose


def _names_read(node: ir.Node) -> Iterator[str]:
    return (str(value.name) for value in nested_reads(node) if value is not None)
