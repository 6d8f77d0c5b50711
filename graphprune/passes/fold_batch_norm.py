"""Fold inference-time batch normalisation into the convolution or matrix product before it.

With `f = scale / sqrt(var + epsilon)`, a channel of `y = BatchNormalization(z)` is `f * (z - mean) + shift`. Where
`z = W x + b`, that is `(f W) x + (f (b - mean) + shift)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.diagnostics import Rewrite, Skip
from graphprune.graph.nodes import describe
from graphprune.passes.base import Equivalence, Pass, PassOutcome, mark, refuse
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import read_bias, write_bias
from graphprune.passes.rewriting import bypass, constant_of
from graphprune.stages.stage import Stage

Array = npt.NDArray[Any]

_KNOWN = {
    "BatchNormalization": frozenset({"epsilon", "momentum", "training_mode"}),
    "Conv": frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}),
    "ConvTranspose": frozenset(
        {"auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"}
    ),
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
}
"""The attributes that the algebra below was derived with."""

_PRODUCERS = frozenset({"Conv", "ConvTranspose", "Gemm"})


class _RefusedError(Exception):
    """A site that does not qualify: the code, and why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold `BatchNormalization` into the `Conv`, `ConvTranspose` or `Gemm` that alone feeds it.

    The weight keeps its name and gets new values; so does the bias, which is made if there is none.

    Before::

        g (float[1,1,2,2] x) => (float[1,2,2,2] y) <
            float[2,1,1,1] w = {1, 2}, float[2] s = {2, 3}, float[2] b = {1, 1},
            float[2] m = {4, 5}, float[2] v = {1, 4}
        > {
            z = Conv (x, w)
            y = BatchNormalization <epsilon = 0.0> (z, s, b, m, v)
        }

    After::

        g (float[1,1,2,2] x) => (float[1,2,2,2] y) <float[2,1,1,1] w = {2, 3}, float[2] w_bias = {-7, -6.5}> {
            y = Conv (x, w, w_bias)
        }

    Refuses: GP211 the producer is of another kind, GP212 the normalisation trains, GP213 what it normalises is read
        elsewhere, GP214 an attribute is unknown, GP215 a parameter is not constant, GP216 the weight is shared,
        GP217 the folded values are not finite, GP218 the `C` of a `Gemm` varies along rows.
    """

    name: ClassVar[str] = "fold-batch-norm"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED

    def apply(self, model: ir.Model) -> PassOutcome:
        """Fold every site that qualifies."""
        rewrites: list[Rewrite] = []
        skips: list[Skip] = []
        names = FreshNames(model)
        for node in list(model.graph.all_nodes()):
            if node.op_type == "BatchNormalization" and node.domain == "":
                try:
                    rewrites.append(self._fold(node, names))
                except _RefusedError as refused:
                    skips.append(refuse(refused.code, node, f"{describe(node)}: {refused}"))
        return PassOutcome(tuple(rewrites), tuple(skips))

    def _fold(self, node: ir.Node, names: FreshNames) -> Rewrite:
        producer = _producer(node)
        _verify_attributes(node)
        _verify_attributes(producer)
        factor, mean, shift = _affine(node)
        weight = _weight(producer)
        folded_weight = _like(weight, _scaled_weight(producer, _array(weight), factor))
        folded_bias = _like(weight, (_bias(producer, factor.size) - mean) * factor + shift)
        weight.const_value = folded_weight
        write_bias(producer, folded_bias, names)
        mark(producer, self)
        bypass(node, producer.outputs[0])
        return Rewrite(
            f"{producer.op_type.lower()}-batch-norm",
            node.name or str(node.outputs[0].name),
            f"folded into {describe(producer)}",
        )


def _producer(node: ir.Node) -> ir.Node:
    """Return the node that `node` can be folded into, as far as the graph around them tells."""
    value = node.inputs[0]
    producer = None if value is None else value.producer()
    if value is None or producer is None or producer.domain != "" or producer.op_type not in _PRODUCERS:
        found = "an input of the graph" if producer is None else describe(producer)
        raise _RefusedError("GP211", f"what it normalises comes from {found}, not from a Conv, ConvTranspose or Gemm")
    mode = node.attributes.get_int("training_mode", 0)
    if mode or len(node.outputs) > 1:
        reason = f"it trains: training_mode {mode} and {len(node.outputs)} outputs, expected 0 and 1"
        raise _RefusedError("GP212", reason)
    readers = len(value.uses()) + value.is_graph_output()
    if readers > 1 or producer.graph is not node.graph:
        raise _RefusedError("GP213", f"'{value.name}' has {readers} readers, expected this one alone in the same graph")
    return producer


def _verify_attributes(node: ir.Node) -> None:
    unknown = node.attributes.keys() - _KNOWN[node.op_type]
    if unknown:
        raise _RefusedError(
            "GP214", f"attribute '{min(unknown)}' of {describe(node)} is not one that the fold considers"
        )


def _affine(node: ir.Node) -> tuple[Array, Array, Array]:
    """Return the factor, mean and shift of each channel in float64."""
    tensors = [constant_of(value) for value in node.inputs[1:5]]
    for value, tensor in zip(node.inputs[1:5], tensors, strict=True):
        if tensor is None:
            raise _RefusedError("GP215", f"'{value.name if value else ''}' is not constant")
    scale, shift, mean, variance = (tensor.numpy().astype(np.float64) for tensor in tensors if tensor is not None)
    with np.errstate(all="ignore"):  # what is not finite is refused below
        factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return factor, mean, shift


def _weight(producer: ir.Node) -> ir.Value:
    """Return the weight, constant as the bias is, and read by `producer` alone."""
    weight = producer.inputs[1]
    bias = producer.inputs[2] if len(producer.inputs) > 2 else None  # noqa: PLR2004
    if weight is None or constant_of(weight) is None:
        raise _RefusedError(
            "GP215", f"weight '{weight.name if weight else ''}' of {describe(producer)} is not constant"
        )
    if bias is not None and constant_of(bias) is None:
        raise _RefusedError("GP215", f"bias '{bias.name}' of {describe(producer)} is not constant")
    readers = len(weight.uses()) + weight.is_graph_output()
    if readers > 1:
        raise _RefusedError(
            "GP216", f"weight '{weight.name}' of {describe(producer)} has {readers} readers, expected 1"
        )
    return weight


def _scaled_weight(producer: ir.Node, weight: Array, factor: Array) -> Array:
    """Multiply what makes each output channel by its factor."""
    if producer.op_type == "Conv":
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    if producer.op_type == "Gemm":
        return weight * (factor[:, None] if producer.attributes.get_int("transB", 0) else factor)
    group = producer.attributes.get_int("group", 1)  # ConvTranspose: [C, M / group, ...], channels of a group together
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    return (grouped * factor.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _bias(producer: ir.Node, channels: int) -> Array:
    """Return what is added to each output channel before the normalisation."""
    bias = read_bias(producer, channels)
    if bias is None:
        shape = list(producer.inputs[2].shape or ()) if producer.inputs[2] is not None else []
        raise _RefusedError("GP218", f"C of {describe(producer)} has shape {shape}, expected [{channels}]")
    return bias


def _array(value: ir.Value) -> Array:
    tensor = constant_of(value)
    assert tensor is not None  # asked in _weight
    return tensor.numpy().astype(np.float64)


def _like(weight: ir.Value, array: Array) -> ir.TensorProtocol:
    """Return `array` in the weight's type, refusing what it cannot hold."""
    assert weight.const_value is not None
    with np.errstate(all="ignore"):
        cast = array.astype(weight.const_value.numpy().dtype)
    if not np.isfinite(cast.astype(np.float64)).all():
        raise _RefusedError(
            "GP217", f"folded into '{weight.name}', {int((~np.isfinite(cast)).sum())} values are not finite"
        )
    return ir.tensor(np.ascontiguousarray(cast), weight.const_value.dtype)
