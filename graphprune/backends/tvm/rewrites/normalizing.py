"""Normalisations and poolings as reductions, average pooling and element-wise arithmetic."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir

from graphprune.passes.definition import Define, Definition


def _local_response(define: Definition) -> onnx.FunctionProto | None:
    """LRN: the sum over neighbouring channels is an average pooling of the squares, channels taken as rows."""
    attributes = define.node.attributes
    size, shape = attributes.get_int("size", 1), define.shape()
    if len(shape) < 3:
        return None
    x = define.inputs[0]
    rows = define.reshape(define("Mul", x, x), (shape[0], 1, shape[1], math.prod(shape[2:])))
    before, after = (min(n, shape[1]) for n in ((size - 1) // 2, size // 2))  # further neighbours are all zeros
    window = before + 1 + after
    mean = define("AveragePool", rows, kernel_shape=[window, 1], pads=[before, 0, after, 0], count_include_pad=1)
    factor = attributes.get_float("alpha", 1e-4) * (window / size)
    scaled = define("Mul", define.reshape(mean, shape), define.like(factor))
    base = define("Add", scaled, define.like(attributes.get_float("bias", 1.0)))
    return define.finish(define("Div", x, define("Pow", base, define.like(attributes.get_float("beta", 0.75)))))


def _lp_normalization(define: Definition) -> onnx.FunctionProto:
    """LpNormalization: zero where the norm is zero."""
    order, axis = define.node.attributes.get_int("p", 2), define.node.attributes.get_int("axis", -1)
    x = define.inputs[0]
    norm = define("ReduceL1" if order == 1 else "ReduceL2", x, define.constant([axis]), keepdims=1)
    zero = define.like(0)
    quotient = define("Div", x, define("Where", define("Equal", norm, zero), define.like(1), norm))
    return define.finish(define("Where", define("Equal", norm, zero), zero, quotient))


def _lp_pool(define: Definition) -> onnx.FunctionProto:
    """LpPool: the average of |x|^p times the size of the window, to the power 1/p."""
    attributes = {name: attribute.value for name, attribute in define.node.attributes.items() if name != "p"}
    order = define.node.attributes.get_int("p", 2)
    powers = _absolute_power(define, order)
    attributes.pop("ceil_mode", None)
    if not attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        attributes.update(auto_pad="NOTSET", pads=_pads_to_the_last_window(define))
    mean = define("AveragePool", powers, count_include_pad=1, **attributes)
    window = math.prod(define.node.attributes.get_ints("kernel_shape", []))
    return define.finish(_root(define, define("Mul", mean, define.like(window)), order))


def _pads_to_the_last_window(define: Definition) -> list[int]:
    """Pads within which all windows lie, so that each averages as many elements."""
    attributes, size, length = define.node.attributes, define.shape()[2:], define.output_shape()[2:]
    kernel, rank = attributes.get_ints("kernel_shape", []), len(size)
    strides, dilations = (attributes.get_ints(name, [1] * rank) for name in ("strides", "dilations"))
    is_valid = attributes.get_string("auto_pad", "NOTSET") == "VALID"
    before = [0] * rank if is_valid else list(attributes.get_ints("pads", [0] * 2 * rank)[:rank])
    ends = [
        (length[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size[i] - before[i] for i in range(rank)
    ]
    after = [0] * rank if is_valid else attributes.get_ints("pads", [0] * 2 * rank)[rank:]
    return [*before, *map(max, after, ends)]


def _global_lp_pool(define: Definition) -> onnx.FunctionProto:
    order = define.node.attributes.get_int("p", 2)
    axes = define.constant(list(range(2, len(define.shape()))))
    total = define("ReduceSum", _absolute_power(define, order), axes, keepdims=1)
    return define.finish(_root(define, total, order))


def _absolute_power(define: Definition, order: int) -> str:
    absolute = define("Abs", define.inputs[0])
    return absolute if order == 1 else define("Pow", absolute, define.like(order))


def _root(define: Definition, value: str, order: int) -> str:
    return value if order == 1 else define("Pow", value, define.like(1 / order))


def _trained_batch_normalization(define: Definition) -> onnx.FunctionProto | None:
    """BatchNormalization in training mode: with the batch's own statistics, which also move the running ones."""
    if define.node.attributes.get_int("training_mode", 0) == 0:
        return None
    momentum, rank = define.node.attributes.get_float("momentum", 0.9), len(define.shape())
    axes = define.constant([0, *range(2, rank)])
    mean = define("ReduceMean", define.inputs[0], axes, keepdims=0)
    columns = [define.shape()[1], *[1] * (rank - 2)]
    centred = define("Sub", define.inputs[0], define.reshape(mean, columns))
    variance = define("ReduceMean", define("Mul", centred, centred), axes, keepdims=0)
    statistics = (define.inputs[1], define.inputs[2], mean, variance)
    epsilon = define.node.attributes.get_float("epsilon", 1e-5)
    y = define("BatchNormalization", define.inputs[0], *statistics, epsilon=epsilon)
    running = [
        define(
            "Add",
            define("Mul", define.inputs[i], define.like(momentum, i)),
            define("Mul", now, define.like(1 - momentum, i)),
        )
        for i, now in ((3, mean), (4, variance))
    ]
    return define.finish(y, *running)


def _hardmax(define: Definition) -> onnx.FunctionProto:
    axis = define.node.attributes.get_int("axis", -1)
    first = define("ArgMax", define.inputs[0], axis=axis, keepdims=0)
    values = define.like([0, 1])
    return define.finish(define("OneHot", first, define.constant(define.shape()[axis]), values, axis=axis))


def _dropout(define: Definition) -> onnx.FunctionProto | None:
    """Dropout outside training: everything is kept, and the mask says so."""
    training = define.known(2)
    if define.has(2) and (training is None or training.item()):
        return None
    return define.finish(define.inputs[0], define.constant(np.ones(define.shape()), np.bool_))


def _layer_normalization(define: Definition) -> onnx.FunctionProto:
    """As ONNX defines it, but scale and shift need not have the extents of the axes that are normalised."""
    attributes, rank = define.node.attributes, len(define.shape())
    axes = define.constant(list(range(attributes.get_int("axis", -1) % rank, rank)))
    x = define("Cast", define.inputs[0], to=attributes.get_int("stash_type", int(ir.DataType.FLOAT)))
    mean = define("ReduceMean", x, axes, keepdims=1)
    centred = define("Sub", x, mean)
    variance = define("ReduceMean", define("Mul", centred, centred), axes, keepdims=1)
    epsilon = define("CastLike", define.constant(attributes.get_float("epsilon", 1e-5), np.float32), x)
    deviation = define("Sqrt", define("Add", variance, epsilon))
    y = define("Mul", define("CastLike", define("Div", centred, deviation), define.inputs[0]), define.inputs[1])
    y = define("Add", y, define.inputs[2]) if define.has(2) else y
    return define.finish(*(y, mean, define("Reciprocal", deviation))[: len(define.node.outputs)])


def _instance_normalization(define: Definition) -> onnx.FunctionProto:
    shape = define.shape()
    axes = define.constant(list(range(2, len(shape))))
    centred = define("Sub", define.inputs[0], define("ReduceMean", define.inputs[0], axes, keepdims=1))
    variance = define("ReduceMean", define("Mul", centred, centred), axes, keepdims=1)
    epsilon = define.like(define.node.attributes.get_float("epsilon", 1e-5))
    scaled = define("Div", centred, define("Sqrt", define("Add", variance, epsilon)))
    scale, shift = (define.reshape(define.inputs[i], [shape[1], *[1] * (len(shape) - 2)]) for i in (1, 2))
    return define.finish(define("Add", define("Mul", scaled, scale), shift))


def _global_pool(define: Definition) -> onnx.FunctionProto:
    axes = define.constant(list(range(2, len(define.shape()))))
    kind = "ReduceMean" if define.node.op_type == "GlobalAveragePool" else "ReduceMax"
    return define.finish(define(kind, define.inputs[0], axes, keepdims=1))


def _reduced_booleans(define: Definition) -> onnx.FunctionProto | None:
    """ReduceMax and ReduceMin of booleans, which are any and all."""
    if define.dtype() != np.bool_:
        return None
    attributes = {name: attribute.value for name, attribute in define.node.attributes.items()}
    narrow = define.cast(define.inputs[0], np.uint8)
    return define.finish(define.cast(define(define.node.op_type, narrow, *define.inputs[1:], **attributes), np.bool_))


NORMALIZING: dict[str, Define] = {
    "LRN": _local_response,
    "LpNormalization": _lp_normalization,
    "LpPool": _lp_pool,
    "GlobalLpPool": _global_lp_pool,
    "BatchNormalization": _trained_batch_normalization,
    "Hardmax": _hardmax,
    "Dropout": _dropout,
    "LayerNormalization": _layer_normalization,
    "InstanceNormalization": _instance_normalization,
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), _reduced_booleans),
}
