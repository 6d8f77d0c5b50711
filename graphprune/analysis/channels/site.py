"""The node to which a rule is applied, with what is known of its inputs, and the equations that the rule adds to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.equations import Equations, Reason, Role
from graphprune.analysis.channels.state import UNKNOWN, Extents, Factor, FloatArray, State
from graphprune.analysis.constants import constant_tensor
from graphprune.graph.nodes import describe

_MAX_INDICES = 1 << 20


class CannotFollowError(Exception):
    """The rule does not cover this use of the operator; every channel that enters is blocked."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True)
class Site:
    """A node to which a rule is applied.

    Attributes:
        node: The node.
        inputs: What is known of its inputs; None for an absent one.
        equations: To be added to.
        opset: Version of ONNX's own operators in this model.
        is_measured: Whether constants are what they are; else as they are once a channel is masked.
    """

    node: ir.Node
    inputs: tuple[State | None, ...]
    equations: Equations
    opset: int
    is_measured: bool = False

    def input(self, index: int) -> State:
        """Return a required input."""
        state = self.optional(index)
        if state is None:
            raise CannotFollowError("GP372", f"the shape of input {index} is not known")
        return state

    def optional(self, index: int) -> State | None:
        """Return an input that may be absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self, index: int = 0) -> Extents:
        """Return the shape of an output."""
        extents = extents_of(self.node.outputs[index])
        if extents is None:
            raise CannotFollowError("GP372", f"the shape of output {index} is not known")
        return extents

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute `axis`, counted from the front."""
        axis = self.node.attributes.get_int("axis", default)
        return axis + rank if axis < 0 else axis

    def has(self, index: int) -> bool:
        """Whether the node has this input."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def integers(self, name: str, index: int) -> list[int] | None:
        """Return small integers from a constant input or the attribute of older opsets; None where neither is there.

        Raises:
            CannotFollowError: They are computed at run time.
        """
        if name in self.node.attributes:
            return list(self.node.attributes[name].as_ints())
        if not self.has(index):
            return None
        tensor = constant_tensor(self.node.inputs[index])
        if tensor is None or tensor.size > _MAX_INDICES:
            raise CannotFollowError("GP375", f"'{name}' is computed at run time")
        return [int(value) for value in tensor.numpy().reshape(-1)]

    def reason(self, code: str, why: str) -> Reason:
        """Name this node in a reason."""
        return Reason(code, f"{describe(self.node)} {why}")

    def block(self, factor: Factor | None, code: str, why: str) -> None:
        """Say that no channel of `factor` can be removed."""
        if factor is not None:
            self.equations.block(factor.labels, self.reason(code, why))

    def hold(self, factor: Factor | None, axes: Iterable[int], code: str, why: str) -> Factor | None:
        """Say that no single index of these axes can be removed: channels are tied along them, or blocked."""
        if factor is None or not (held := [axis for axis in axes if axis in factor.axes]):
            return factor
        first = tuple(slice(1) if axis in held else slice(None) for axis in range(factor.labels.ndim))
        kept = Factor(factor.labels[first], _uniform(factor.at, factor.at[first], tuple(held)), factor.blame)
        self.equations.same(factor.labels, kept.labels)
        if kept.labels.size > 1:
            return kept
        self.block(kept, code, why)
        return None

    def held(self, state: State, axes: Iterable[int], code: str, why: str) -> State:
        """Hold these axes of a value."""
        wanted = tuple(axes)
        return state.with_factors(self.hold(factor, wanted, code, why) for factor in state.factors)

    def mark(self, state: State | None, role: Role) -> None:
        """Say what a constant is used for; activations have no role."""
        if state is not None and state.is_constant:
            for factor in state.factors:
                self.equations.mark(factor.labels, role)

    def holding(self, state: State, value: float) -> State:
        """Return a value whose channels are never masked: they hold some number like `value`, unless measured."""
        if self.is_measured:
            return state
        return replace(state, factors=tuple(replace(each, at=np.full(each.at.shape, value)) for each in state.factors))

    def read(self, factor: Factor) -> None:
        """Say that weights are multiplied by these channels, or that they are summed up."""
        self.equations.read(self.node, factor.labels, factor.at)
        wrong = (factor.at != 0) & np.ones(factor.labels.shape, bool)
        if wrong.any():
            value = factor.at[wrong].reshape(-1)[0]
            becomes = "is not known to be zero" if np.isnan(value) else f"is {value:g}"
            source = "" if factor.blame is None else f" after {describe(factor.blame)}"
            text = f"a masked channel {becomes}{source} where {describe(self.node)} reads it"
            self.equations.nonzero(factor.labels[wrong], Reason("GP379", text))


def extents_of(value: ir.Value | None) -> Extents | None:
    """Return the shape of a value, open dimensions as None."""
    if value is None or value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def _uniform(at: FloatArray, first: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return np.where((at == first).all(axis=axes, keepdims=True), first, UNKNOWN)
