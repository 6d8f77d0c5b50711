"""Store packed weights densely again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.diagnostics import Rewrite
from graphprune.packed.calls import ROWS_AXIS_KEY, PackedCall, extra_index, is_decoding, is_packed_call, read_call
from graphprune.packed.forms import CALLS
from graphprune.packed.functions import drop_unused_functions
from graphprune.passes.base import Equivalence, Pass, PassOutcome, mark
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import drop_unused, graph_of, new_initializer
from graphprune.passes.stage_change import with_stage_change
from graphprune.stages.stage import Stage


@dataclass(frozen=True)
class UnpackWeights(Pass):
    """Replace packed calls by Conv, MatMul and Gemm of dense weights, bit for bit those that were packed.

    A matrix gets back the orientation it was stored in, a transposition in front of MatMul included; the weight of a
    convolution is stored as the operator takes it.

    Before::

        g (float[N,3] x) => (float[N,2] y)
            <float[2] w_values = {5, 7}, int32[2] w_columns = {2, 0}, int32[3] w_row_offsets = {0, 1, 2}> {
            y = graphprune.PackedGemm <weight_shape = [2, 3], alpha = 1.0, beta = 1.0>
                (x, w_values, w_columns, w_row_offsets, "")
        }

    After::

        g (float[N,3] x) => (float[N,2] y) <float[2,3] w = {0, 0, 5, 7, 0, 0}> {
            y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (x, w)
        }

    Raises: GP350, GP351, GP352 a packed call is damaged or of another version.
    """

    name: ClassVar[str] = "unpack-weights"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.PACKED})
    produces: ClassVar[Stage | None] = Stage.SPARSE
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED

    def apply(self, model: ir.Model) -> PassOutcome:
        """Unpack call by call; calls that share tensors share the weight again."""
        unpacker = _Unpacker(self, model, FreshNames(model))
        nodes = list(model.graph.all_nodes())
        rewrites = [unpacker.unpack(node) for node in nodes if is_packed_call(node)]
        rewrites += [unpacker.decode(node) for node in nodes if is_decoding(node)]
        drop_unused_functions(model)
        return PassOutcome(with_stage_change(model, Stage.SPARSE, rewrites))


@dataclass
class _Unpacker:
    """Unpacks calls; `dense` holds the weights that are there already, by their values and orientation."""

    pass_: UnpackWeights
    model: ir.Model
    names: FreshNames
    dense: dict[tuple[ir.Value | None, int], ir.Value] = field(default_factory=dict)

    def unpack(self, node: ir.Node) -> Rewrite:
        form, operator = CALLS[node.op_type]
        call, rows_axis = read_call(node), _rows_axis(node, operator)
        weight = self._weight(call, rows_axis)
        operand = self._transposed(node, weight) if operator == "MatMul" and rows_axis == 0 else weight
        stored, extra = node.inputs[1 : extra_index(node)], node.inputs[extra_index(node) :]
        inputs = [node.inputs[0], operand, *(value for value in extra if value is not None)]
        attributes = {key: each for key, each in node.attributes.items() if key not in {"weight_shape", *form.numbers}}
        if operator == "Gemm":
            attributes["transB"] = ir.AttrInt64("transB", 1 - rows_axis)
        made = ir.node(operator, inputs, attributes, name=node.name, doc_string=node.doc_string)
        made.metadata_props.update({key: text for key, text in node.metadata_props.items() if key != ROWS_AXIS_KEY})
        mark(made, self.pass_)
        ir.convenience.replace_nodes_and_values(graph_of(node), node, [node], [made], node.outputs, made.outputs)
        drop_unused(value for value in stored if value is not None)
        detail = f"{operator} with the dense weight '{weight.name}'"
        return Rewrite(call.packed.layout, node.name or operator, detail)

    def decode(self, node: ir.Node) -> Rewrite:
        """Let all that reads what the call decodes read an initializer."""
        call = read_call(node)
        name = self.names.take(call.weight_name)
        weight = new_initializer(self.model.graph, name, ir.tensor(call.decoded, name=name))
        stored = [value for value in node.inputs if value is not None]
        node.outputs[0].replace_all_uses_with(weight)
        graph_of(node).remove(node, safe=True)
        drop_unused(stored)
        return Rewrite(call.packed.layout, call.weight_name, f"dense weight '{name}'")

    def _weight(self, call: PackedCall, rows_axis: int) -> ir.Value:
        """The dense weight as an initializer, oriented as before it was packed."""
        values = call.values
        if (values, rows_axis) not in self.dense:
            name = self.names.take(call.weight_name)
            array = call.weight.T if rows_axis else call.weight
            tensor = ir.tensor(np.ascontiguousarray(array), name=name)
            self.dense[values, rows_axis] = new_initializer(self.model.graph, name, tensor)
        return self.dense[values, rows_axis]

    def _transposed(self, node: ir.Node, weight: ir.Value) -> ir.Value:
        name = self.names.take(f"{weight.name}_transposed")
        transpose = ir.node("Transpose", [weight], {"perm": (1, 0)}, name=name)
        transpose.outputs[0].name = name
        mark(transpose, self.pass_)
        graph_of(node).insert_before(node, transpose)
        return transpose.outputs[0]


def _rows_axis(node: ir.Node, operator: str) -> int:
    """The axis that counted output features; where the record is lost, the one that the operator prefers."""
    preferred = "1" if operator == "MatMul" else "0"
    recorded = node.metadata_props.get(ROWS_AXIS_KEY, preferred)
    return int(recorded if operator != "Conv" and recorded in {"0", "1"} else preferred)
