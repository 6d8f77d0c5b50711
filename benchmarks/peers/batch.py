"""Models that were exported for one input, for several at once."""

from __future__ import annotations

import onnx_ir as ir

from graphprune.errors import InputError
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import constant_of, new_initializer
from graphprune.passes.shape_inference import infer_shapes


def with_batch(model: ir.Model, batch: int) -> ir.Model:
    """A copy of `model` whose inputs and outputs have `batch` rows instead of one.

    Where the file reads its padding mask by the index of the row, as BERT's does, all rows get the mask of the first.

    Raises:
        InputError: an output does not follow.
        UnsupportedModelError: an operator does not.
    """
    model = model.clone()
    names = FreshNames(model)
    for node in list(model.graph):
        if node.op_type == "Reshape":
            _reshape_rows(model.graph, node, batch, names)
    for value in model.graph.inputs:
        assert value.shape is not None
        value.shape = ir.Shape([batch, *value.shape[1:]])
    for value in model.graph.outputs:
        value.shape = None
    infer_shapes(model)
    for value in model.graph.outputs:
        if value.shape is None or value.shape[0] != batch:
            raise InputError(f"output '{value.name}' is {value.shape}, expected {batch} rows")
    return model


def _reshape_rows(graph: ir.Graph, node: ir.Node, batch: int, names: FreshNames) -> None:
    """Let a constant new shape of one row have `batch` rows."""
    shape = constant_of(node.inputs[1])
    if shape is not None and shape.numpy()[0] == 1:
        extents = shape.numpy().copy()
        extents[0] = batch
        name = names.take(f"{node.name}_shape")
        node.replace_input_with(1, new_initializer(graph, name, ir.Tensor(extents, name=name)))
