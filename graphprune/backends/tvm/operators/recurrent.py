"""RNN, GRU and LSTM: one product for the inputs of all steps, then one kernel for all steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.backends.tvm.kernels.cells import COUPLED_LSTM, GRU, LINEAR_GRU, LSTM, RNN, Cell, Stage
from graphprune.backends.tvm.kernels.elements import itemsize
from graphprune.backends.tvm.kernels.problem import Planes
from graphprune.backends.tvm.kernels.recurrence import recurrence_function
from graphprune.backends.tvm.kernels.recurrence_problem import RecurrenceProblem
from graphprune.backends.tvm.kernels.row_product import RowProduct, row_product_function
from graphprune.backends.tvm.kernels.view import View, merged_stride
from graphprune.backends.tvm.lowering.fusion import Group
from graphprune.backends.tvm.lowering.graph import Lowering, constant_array, is_constant, static_shape
from graphprune.backends.tvm.lowering.layout import channel_major
from graphprune.backends.tvm.operators.planes import lower_positions
from graphprune.backends.tvm.operators.recurrent_functions import functions_of
from graphprune.backends.tvm.operators.region import NO_EPILOGUE
from graphprune.backends.tvm.operators.row_products import choose_product, dense_product, zeros_of
from graphprune.backends.tvm.operators.views import input_value
from graphprune.backends.tvm.operators.weights import FEWEST_ZEROS, Weight
from graphprune.backends.tvm.program.recording import Array
from graphprune.layouts import csr

OPERANDS = {3: "bias", 4: "lengths", 5: "initial0", 6: "initial1", 7: "peepholes"}
"""The optional inputs."""

RESULTS = ("y", "final0", "final1")

L2_SHARE = 0.5
"""The share of L2 up to which one core keeps the nonzeros of a recurrence weight there (measured)."""


def lower_recurrent(lowering: Lowering, group: Group) -> None:
    """RNN, GRU, LSTM."""
    Recurrent.of(lowering, group).lower()


def is_batch_first(node: ir.Node) -> bool:
    """Whether the values of a recurrent node have the batch as their first axis."""
    return node.attributes.get_int("layout", 0) == 1


@dataclass(frozen=True)
class Recurrent:
    """The lowering of a recurrent node of these extents."""

    lowering: Lowering
    group: Group
    steps: int
    batch: int
    directions: int
    hidden: int

    @classmethod
    def of(cls, lowering: Lowering, group: Group) -> Recurrent:
        """With the extents of the node's inputs."""
        node = group.anchor
        steps, batch, _ = static_shape(input_value(node, 0))
        directions, _, hidden = static_shape(input_value(node, 2))
        return cls(lowering, group, *((batch, steps) if is_batch_first(node) else (steps, batch)), directions, hidden)

    @property
    def node(self) -> ir.Node:
        """The node itself."""
        return self.group.anchor

    @property
    def cell(self) -> Cell:
        """What a step does."""
        if self.node.op_type == "GRU":
            return LINEAR_GRU if self.node.attributes.get_int("linear_before_reset", 0) else GRU
        if self.node.op_type == "LSTM":
            return COUPLED_LSTM if self.node.attributes.get_int("input_forget", 0) else LSTM
        return RNN

    @property
    def rows(self) -> int:
        """Sequences of one thread: all threads have as many, and share the directions first."""
        if self.shares_products:
            return self.batch
        most = max(1, self.lowering.machine.threads // self.directions)
        return self.batch // next(parts for parts in range(most, 0, -1) if self.batch % parts == 0)

    @property
    def shares_products(self) -> bool:
        """Whether each thread keeps a part of the weight near, since the whole does not fit: threads meet each step."""
        weight, machine = self.weight(2), self.lowering.machine
        stored = (1 - zeros_of(weight)) * math.prod(weight.shape) * itemsize(str(weight.dtype)) / self.directions
        return machine.threads > 1 and stored > L2_SHARE * machine.l2_bytes

    def lower(self) -> None:
        """Emit the product of the inputs, then all steps."""
        self.lowering.begin(self.group, ".W")
        projected = self.projected()
        self.lowering.begin(self.group, ".R")
        stages = [self.stage(stage, number) for number, stage in enumerate(self.cell.stages)]
        operands = {name: self.operand(index) for index, name in OPERANDS.items() if self.has(index)}
        results = {name: v for name, v in zip(RESULTS, self.node.outputs, strict=False) if _is_read(v)}
        problem = self.problem([product for product, _ in stages], operands, results)
        function = recurrence_function(self.node.op_type.lower(), problem)
        inputs = [projected, *(view for _, views in stages for view in views), *operands.values()]
        views = [self.result(name, projected.dtype) for name in results]
        steps = self.steps * self.directions * (self.batch // self.rows)
        operations = 2 * steps * sum(product.operations for product, _ in stages)
        buffers = self.lowering.call_all(function, inputs, views, operations)
        for value, view, buffer in zip(results.values(), views, buffers, strict=True):
            self.lowering.define(value, self.turned(View.dense(buffer, view.dtype, view.shape)))

    def problem(
        self, products: Sequence[RowProduct], operands: Iterable[str], results: Iterable[str]
    ) -> RecurrenceProblem:
        """What the kernel of all steps computes."""
        attributes, shares_products = self.node.attributes, self.shares_products
        return RecurrenceProblem(
            self.cell,
            self.steps,
            self.batch,
            self.hidden,
            functions_of(self.node),
            products,
            frozenset(operands),
            list(results),
            is_reverse=attributes.get_string("direction", "forward") == "reverse",
            clip=attributes["clip"].as_float() if "clip" in attributes else None,
            shares_sequences=self.lowering.machine.threads > 1 and not shares_products,
            shares_products=shares_products,
        )

    def has(self, index: int) -> bool:
        """Whether the node has this optional input."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def operand(self, index: int) -> View:
        """An optional input as the kernel reads it."""
        view = self.lowering.view(input_value(self.node, index))
        is_turned = is_batch_first(self.node) and OPERANDS[index].startswith("initial")
        return self.lowering.dense(view.transpose((1, 0, 2)) if is_turned else view)

    def result(self, name: str, dtype: str) -> View:
        """A result as the kernel writes it."""
        state = (self.directions, self.batch, self.hidden)
        return View.dense(None, dtype, (self.steps, *state) if name == "y" else state)

    def turned(self, view: View) -> View:
        """A result as the node has it."""
        if not is_batch_first(self.node):
            return view
        return view.transpose((2, 0, 1, 3) if len(view.shape) == 4 else (1, 0, 2))

    def weight(self, index: int) -> Array | View:
        """W or R, [direction, gate * hidden, inputs]."""
        value = input_value(self.node, index)
        return constant_array(value) if is_constant(value) else self.lowering.view(value)

    def stage(self, stage: Stage, number: int) -> tuple[RowProduct, list[View]]:
        """The product of a stage with the recurrence weights, and its buffers."""
        weight, first, size = self.weight(2), stage.first * self.hidden, stage.gates * self.hidden
        part = weight.slice(1, first, size) if isinstance(weight, View) else weight[:, first : first + size]
        return choose_product(self.lowering, self.rows, part, f"weight{number}")

    def projected(self) -> View:
        """The products of all inputs, [step * sequence, direction * gate * hidden]."""
        x = self.lowering.view(input_value(self.node, 0))
        x = x.transpose((1, 0, 2)) if is_batch_first(self.node) else x
        weight = self.weight(1)
        shape = (self.directions * self.cell.gates * self.hidden, x.shape[-1])
        if not isinstance(weight, View) and x.dtype == "float32" and zeros_of(weight) >= FEWEST_ZEROS:
            return _sparse_projection(self.lowering, x, weight.reshape(shape))
        if isinstance(weight, View):
            return _dense_projection(self.lowering, x, self.lowering.reshaped(weight, (1, *shape)))
        return _dense_projection(self.lowering, x, weight.reshape((1, *shape)))


def _is_read(value: ir.Value) -> bool:
    return bool(value.uses()) or value.is_graph_output()


def _sparse_projection(lowering: Lowering, x: View, weight: Array) -> View:
    """By a kernel that has vectors over positions, whichever of them is the fastest for the zeros."""
    position = merged_stride(x.shape[:-1], x.strides[:-1])
    if position is None:
        x, position = lowering.dense(x, channel_major(3)), 1
    planes = Planes(x.size, x.shape[-1], 0, x.strides[-1], position, x.offset)
    rows = x.shape[0] * x.shape[1]
    outputs, inputs = weight.shape
    packed = Weight(outputs, inputs, 1, rows=csr.pack(weight))
    buffer = lower_positions(lowering, planes, 1, packed, rows, x, NO_EPILOGUE)
    return lowering.dense(View.dense(buffer, "float32", (rows, outputs), (1, 0)))


def _dense_projection(lowering: Lowering, x: View, weight: Array | View) -> View:
    """By a product of rows."""
    stride = merged_stride(x.shape[:-1], x.strides[:-1])
    if stride is None or x.strides[-1] != 1:
        x, stride = lowering.dense(x), x.shape[-1]
    rows = x.shape[0] * x.shape[1]
    lowering.note("dense", f"{zeros_of(weight):.1%} of the elements are zero", ("dense",))
    product, buffers = dense_product(lowering, rows, weight)
    function = row_product_function("projection", product, x.size, x.offset, stride)
    buffer = lowering.call(function, [x, *buffers], rows * product.outputs, x.dtype, 2 * product.operations)
    return View.dense(buffer, x.dtype, (rows, product.outputs))
