"""Deciding whether the samples of a batch are independent in a graph, and rewriting it to one sample."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphprune.backends.base import Variant, open_dimensions
from graphprune.backends.tvm.batch.gain import reason_to_keep
from graphprune.backends.tvm.batch.rules import RULES, Rule
from graphprune.backends.tvm.batch.site import Array, BatchAxis, MixedSamplesError, Site
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.lowering.graph import static_shape
from graphprune.passes.fingerprint import fingerprint
from graphprune_runtime.description import BatchNote

TARGETS = ("Reshape", "Expand")
"""Operators whose second input is the shape of their output."""


def split_batch(model: ir.Model, machine: Machine) -> BatchNote:
    """Rewrite a prepared model, in place, to one sample of its batch, where that is the same function and faster."""
    samples = batch_size(model.graph)
    if samples < 2:
        return BatchNote(1, "there is no batch")
    if reason := reason_to_keep(model, samples, machine):
        return BatchNote(1, reason)
    try:
        found = find_batch_axes(model.graph, samples)
    except MixedSamplesError as error:
        return BatchNote(1, str(error))
    take_one_sample(model.graph, found)
    return BatchNote(samples, "values of the whole batch do not fit the cache")


def open_batch(model: ir.Model, other: ir.Model, variant: Variant) -> BatchNote:
    """Rewrite a prepared model, in place, to one sample of a batch of any number of samples.

    Args:
        model: With the first number of samples.
        other: The same model with the other number: nothing in one sample may depend on it.
        variant: Says which numbers these are, and what the inputs are called.

    Raises:
        InputError: the samples are not independent, or depend on how many there are.
    """
    try:
        _take_any_sample(model, other, variant)
    except MixedSamplesError as error:
        infos = [info for info in variant.inputs if not all(isinstance(dim, int) for dim in info.shape)]
        raise open_dimensions(infos, f"since they cannot be run one by one: {error}") from error
    return BatchNote(None, "their number is open")


def _take_any_sample(model: ir.Model, other: ir.Model, variant: Variant) -> None:
    assert variant.open_batch is not None
    for each, samples in ((model, variant.open_batch.samples), (other, variant.open_batch.other_samples)):
        take_one_sample(each.graph, find_batch_axes(each.graph, samples))
    if fingerprint(model) != fingerprint(other):
        raise MixedSamplesError("a sample depends on how many there are")


@dataclass
class BatchAxes:
    """Where the samples of a batch lie in each value that differs between them.

    Attributes:
        samples: How many there are.
        axes: By value; what is not in here is the same for all samples.
        parts: By node and input, what to replace a constant by that repeats itself for each sample.
    """

    samples: int
    axes: dict[ir.Value, BatchAxis] = field(default_factory=dict)
    parts: dict[tuple[ir.Node, int], Array] = field(default_factory=dict)


def batch_size(graph: ir.Graph) -> int:
    """The first extent of all outputs; 1 where they differ or there is none."""
    firsts = {static_shape(value)[:1] for value in graph.outputs}
    return firsts.pop()[0] if len(firsts) == 1 and () not in firsts else 1


def find_batch_axes(graph: ir.Graph, samples: int) -> BatchAxes:
    """Follow the batch from the inputs that have `samples` along their first axis to the outputs.

    Raises:
        MixedSamplesError: A sample of an output may depend on more than that sample of the inputs; the message names
            the first node that does not treat samples independently, or the output that is the same for all.
    """
    found = BatchAxes(samples)
    found.axes.update({value: BatchAxis(0) for value in graph.inputs if static_shape(value)[:1] == (samples,)})
    for node in graph:
        site = Site(node, found.axes, samples)
        if not site.batched():
            continue
        try:
            result = _rule_of(node)(site)
        except MixedSamplesError as error:
            raise MixedSamplesError(f"'{node.name}' ({node.op_type}): {error}") from error
        found.axes.update({value: site.others.get(index, result) for index, value in enumerate(node.outputs)})
        found.parts.update({(node, index): part for index, part in site.parts.items()})
    for value in graph.outputs:
        if found.axes.get(value) != BatchAxis(0):
            raise MixedSamplesError(f"output '{value.name}' does not hold one row a sample")
    return found


def _rule_of(node: ir.Node) -> Rule:
    if node.op_type not in RULES:
        raise MixedSamplesError("it is not known to treat samples independently")
    return RULES[node.op_type]


def take_one_sample(graph: ir.Graph, found: BatchAxes) -> None:
    """Rewrite the graph, in place, to compute one sample."""
    for (node, index), part in found.parts.items():
        _replace_constant(graph, node, index, part)
    for value, (axis, inner) in found.axes.items():
        shape = list(static_shape(value))
        shape[axis] = inner
        value.shape = ir.Shape(shape)
    for node in graph:
        if node.op_type in TARGETS and node.outputs[0] in found.axes:
            _replace_constant(graph, node, 1, np.array(static_shape(node.outputs[0]), np.int64))


def _replace_constant(graph: ir.Graph, node: ir.Node, index: int, array: Array) -> None:
    name = f"{node.name}.input{index}.sample"
    constant = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    constant.type, constant.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
    replaced = node.inputs[index]
    graph.register_initializer(constant)
    node.replace_input_with(index, constant)
    if replaced is not None and not replaced.uses() and not replaced.is_graph_output():
        graph.initializers.pop(replaced.name or "")
