"""What rounded weights move the mean of each output channel by, which a bias can move back.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with means
over samples instead of those that a normalisation has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.analysis.quantization import quantization_of
from graphprune.backends.onnxruntime import session_for
from graphprune.calibration.ranges import Feed
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.quantize import PRODUCTS, Correction
from graphprune.passes.rewriting import graph_of, new_initializer

_Pairs = list[tuple[ir.Node, ir.Node]]
"""Products in float32, each with its twin of rounded weights."""


def bias_corrections(model: ir.Model, quantized: ir.Model, feeds: Sequence[Feed]) -> tuple[Correction, ...]:
    """Return `E[W x] - E[V x]`, a channel, of each product by a weight W that is V in a quantized copy of the model.

    The mean is over all samples, each counting alike, and positions of what the model in float32 multiplies: padding
    is part of it, errors of earlier nodes are not.

    Args:
        model: In float32, each node with a name of its own.
        quantized: What `Quantize` made of it.
        feeds: The samples.
    """
    pairs = _pairs(paired := model.clone(), dict(_rounded_weights(quantized)))
    if not pairs:
        return ()
    paired.graph.outputs[:] = dict.fromkeys(node.outputs[0] for node in chain.from_iterable(pairs))
    session = session_for(paired, optimize=False)
    means = [_shifts(pairs, dict(zip(paired.graph.outputs, session.run(None, feed), strict=True))) for feed in feeds]
    over_samples = [np.mean(each, axis=0) for each in zip(*means, strict=True)]
    return tuple((str(node.name), tuple(mean.tolist())) for (node, _), mean in zip(pairs, over_samples, strict=True))


def _shifts(pairs: _Pairs, values: Mapping[ir.Value, np.ndarray]) -> list[npt.NDArray[np.float64]]:
    """The mean difference of each pair, by channel, on one sample."""
    return [_channel_means(node, values[node.outputs[0]] - values[twin.outputs[0]]) for node, twin in pairs]


def _rounded_weights(quantized: ir.Model) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """What the integers of weights stand for, by the name of the product."""
    for node in quantized.graph:
        value = node.inputs[1] if node.op_type in PRODUCTS else None
        source = None if value is None or (made := value.producer()) is None else made.inputs[0]
        tensor = constant_tensor(source)
        if source is not None and tensor is not None and (known := quantization_of(source)) is not None:
            yield str(node.name), known.real(tensor.numpy())


def _pairs(model: ir.Model, rounded: dict[str, npt.NDArray[np.float32]]) -> _Pairs:
    """The products that have channels, each with one that reads the same and multiplies by the rounded weight."""
    names = FreshNames(model)
    found = [(node, rounded[str(node.name)]) for node in list(model.graph) if str(node.name) in rounded]
    return [(node, _twin(node, weight, names)) for node, weight in found if weight.ndim > 1]


def _twin(node: ir.Node, weight: npt.NDArray[np.float32], names: FreshNames) -> ir.Node:
    graph = graph_of(node)
    value = new_initializer(graph, names.take(f"{node.name}_rounded"), ir.tensor(weight))
    operands = [node.inputs[0], value, *node.inputs[2:]]
    twin = ir.Node("", node.op_type, operands, node.attributes.values(), name=f"{node.name}_twin")
    twin.outputs[0].name = names.take(f"{node.outputs[0].name}_rounded")
    graph.insert_after(node, twin)
    return twin


def _channel_means(product: ir.Node, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Means over all axes but that of the output channels."""
    axis = 1 if product.op_type in {"Conv", "ConvTranspose"} else array.ndim - 1
    others = tuple(each for each in range(array.ndim) if each != axis)
    means: npt.NDArray[np.float64] = array.mean(axis=others, dtype=np.float64)
    return means
