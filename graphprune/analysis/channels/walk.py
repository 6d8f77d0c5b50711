"""Apply the rule of every node, in order, and collect the equations of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphprune.analysis.channels.equations import Equations, Reason, Role
from graphprune.analysis.channels.rules import LINEAR, RULES
from graphprune.analysis.channels.site import CannotFollowError, Site, extents_of
from graphprune.analysis.channels.state import Factor, FloatArray, State
from graphprune.analysis.channels.values import has_channels
from graphprune.analysis.constants import constant_tensor
from graphprune.graph.nodes import describe, named_subgraphs

Measure = Callable[[ir.Value, int], FloatArray]
"""What the elements of a constant are along one of its axes: float64 [extent], NaN where they differ."""


def collect(model: ir.Model, measure: Measure | None = None) -> Walk:
    """Apply the rules of all nodes and outputs of the main graph to its constants.

    Args:
        model: The model; only small constants are read.
        measure: What constants hold; if it is absent, all are taken as masked.
    """
    walk = Walk(model.opset_imports.get("", 1), measure)
    for node in model.graph:
        walk.visit(node)
    for output in model.graph.outputs:
        walk.block(output, Reason("GP370", f"they reach the graph output '{output.name}'"))
    return walk


@dataclass
class Walk:
    """What nodes have said so far.

    Attributes:
        opset: Version of ONNX's own operators in this model.
        measure: What constants hold, if they are not taken as masked.
        equations: Between the indices of constants.
        states: What is known of each value; None without its shape.
    """

    opset: int
    measure: Measure | None = None
    equations: Equations = field(default_factory=Equations)
    states: dict[ir.Value, State | None] = field(default_factory=dict)

    def visit(self, node: ir.Node) -> None:
        """Apply the rule of a node."""
        for reader, value in captured(node):
            self.block(value, Reason("GP376", f"a subgraph of {describe(node)} reads them"))
            self._report_weight(reader, value)
        if node.op_type == "Constant" and node.domain == "":
            return
        for value, state in zip(node.outputs, self._outputs(node), strict=False):
            self.states[value] = state

    def _outputs(self, node: ir.Node) -> list[State | None]:
        rule = RULES.get(node.op_type, _unknown) if node.domain == "" else _unknown
        inputs = tuple(None if value is None else self.state(value) for value in node.inputs)
        site = Site(node, inputs, self.equations, self.opset, self.measure is not None)
        try:
            with np.errstate(all="ignore"):  # what is not finite is not known
                return [*rule(site)]
        except CannotFollowError as error:
            for value in node.inputs:
                self._report_weight(node, value)
                self.block(value, site.reason(error.code, error.why))
            return [_without_channels(value) for value in node.outputs]

    def _report_weight(self, reader: ir.Node | None, value: ir.Value | None) -> None:
        """Make a weight of a product that no rule follows a producer, so that it is among what cannot be removed."""
        if reader is None or reader.op_type not in LINEAR or value is None:
            return
        state = self.state(value)
        for factor in state.factors[:1] if state is not None and state.is_constant and state.rank > 1 else ():
            self.equations.mark(factor.labels, Role.PRODUCER)

    def block(self, value: ir.Value | None, reason: Reason) -> None:
        """Say that no channel of `value` can be removed."""
        state = None if value is None else self.state(value)
        for factor in state.factors if state is not None else ():
            self.equations.block(factor.labels, reason)

    def state(self, value: ir.Value) -> State | None:
        """Return what is known of a value; None without its shape."""
        if value not in self.states:
            tensor = constant_tensor(value)
            self.states[value] = _without_channels(value) if tensor is None else self._constant(value, tensor)
        return self.states[value]

    def _constant(self, value: ir.Value, tensor: ir.TensorProtocol) -> State:
        extents = tuple(int(extent) for extent in tensor.shape.numpy())
        if tensor.size == 1 and tensor.dtype != ir.DataType.STRING:
            scalar = float(tensor.numpy().reshape(-1)[0])
            return State(extents, is_constant=True, scalar=scalar if np.isfinite(scalar) else None)
        if tensor.size == 0 or not has_channels(value, tensor):
            return State(extents, is_constant=True)
        factors = [self._axis(value, extents, axis) for axis, extent in enumerate(extents) if extent > 1]
        return State(extents, tuple(factors), is_constant=True)

    def _axis(self, value: ir.Value, extents: tuple[int, ...], axis: int) -> Factor:
        shape = [extent if place == axis else 1 for place, extent in enumerate(extents)]
        labels = self.equations.axis(value, axis, extents[axis]).reshape(shape)
        return Factor(labels, np.zeros(shape) if self.measure is None else self.measure(value, axis).reshape(shape))


def _unknown(_: Site) -> list[State]:
    raise CannotFollowError("GP371", "is an operator whose effect on channels is not known")


def _without_channels(value: ir.Value) -> State | None:
    extents = extents_of(value)
    return None if extents is None else State(extents)


def captured(node: ir.Node) -> Iterator[tuple[ir.Node | None, ir.Value]]:
    """Yield what the subgraphs of a node read and by which node, None of their outputs; also what they define."""
    for _, graph in named_subgraphs(node):
        yield from ((None, value) for value in graph.outputs)
        for inner in graph:
            yield from ((inner, value) for value in inner.inputs if value is not None)
            yield from captured(inner)
