"""Random small graphs of the operators that carry channels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import strategies as st

from graphprune.passes.shape_inference import infer_shapes
from tests.analysis.channels.draft import Draft, Shape
from tests.analysis.channels.draft_products import (
    attention,
    convolution,
    einsum,
    gemm,
    matmul,
    product,
    transposed,
)


def unary(d: Draft) -> None:
    x = d.activation(1, 2, 3, 4, 5)
    assert x is not None
    operators = ["Relu", "Tanh", "Sigmoid", "Abs", "Neg", "Identity", "Exp", "Erf", "HardSwish", "Softplus"]
    d.emit(d.choose(operators), [x], d.shapes[x])


def binary(d: Draft) -> None:
    x = d.activation(1, 2, 3, 4, 5)
    assert x is not None
    shape = d.shapes[x]
    same = [name for name, other in d.shapes.items() if _broadcasts(other, shape)]
    axis = d.choose(range(len(shape)))
    constants = [(), (shape[axis],) + (1,) * (len(shape) - 1 - axis), shape[-2:]]
    operand = d.choose([*same, "constant", "constant"])
    other = d.weight(*constants[int(d.choose(range(3)))]) if operand == "constant" else operand
    operands = [x, other] if d.choose([0, 1]) else [other, x]
    d.emit(d.choose(["Add", "Mul", "Sub", "Max"]), operands, shape)


def quantize(d: Draft) -> None:
    """And back, with one scale and zero point, or with one for each index of an axis."""
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(len(shape)))
    extents: Shape = d.draw(st.sampled_from([(), (shape[axis],)]))
    scale = d.constant(np.full(extents, 0.125, np.float32))
    zero_points = d.constant(np.asarray(d.rng.integers(0, 9, extents), np.uint8))
    integers = d.emit("QuantizeLinear", [x, scale, zero_points], shape, axis=axis)
    del d.shapes[integers]
    d.emit("DequantizeLinear", [integers, scale, zero_points], shape, axis=axis)


def shift(d: Draft) -> None:
    """Make zero something else, for all channels alike."""
    x = d.activation(1, 2, 3, 4, 5)
    assert x is not None
    d.emit("Add", [x, d.weight()], d.shapes[x])


def _broadcasts(other: Shape, shape: Shape) -> bool:
    return len(other) <= len(shape) and all(
        a in {1, b} for a, b in zip(other[::-1], shape[::-1], strict=False)
    )  # fmt: skip


def norm(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is None:
        return
    channels = d.shapes[x][1]
    kinds = ["BatchNormalization", "LayerNormalization", "RMSNormalization", "InstanceNormalization"]
    kind = d.choose(kinds if len(d.shapes[x]) > 2 else kinds[:3])
    if kind in {"LayerNormalization", "RMSNormalization"}:
        axis = d.choose([-1, -1, -2])
        inputs = [x, d.weight(*d.shapes[x][axis:])]
        if kind == "LayerNormalization" and d.choose([0, 1]):
            inputs.append(d.weight(*d.shapes[x][axis:]))
        d.emit(kind, inputs, d.shapes[x], epsilon=0.1, axis=axis)
        return
    inputs = [x, d.weight(channels), d.weight(channels)]
    if kind == "BatchNormalization":
        inputs += [d.weight(channels), d.constant(np.linspace(1, 2, channels, dtype=np.float32))]
    d.emit(kind, inputs, d.shapes[x], epsilon=0.1)


def softmax(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is not None:
        d.emit("Softmax", [x], d.shapes[x], axis=int(d.choose(range(len(d.shapes[x])))))


def group_norm(d: Draft) -> None:
    x = d.activation(3, 4)
    if x is None:
        return
    channels = d.shapes[x][1]
    groups = d.choose([each for each in range(1, channels + 1) if channels % each == 0])
    inputs = [x, d.weight(channels), d.weight(channels)]
    d.emit("GroupNormalization", inputs, d.shapes[x], num_groups=groups, epsilon=0.1)


def pad(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis, before, after = d.choose(range(len(shape))), d.choose([0, 1]), d.choose([0, 1])
    pads = np.zeros((2, len(shape)), np.int64)
    pads[:, axis] = before, after
    d.emit("Pad", [x, d.constant(pads.reshape(-1))], _with(shape, axis, shape[axis] + before + after))


def resize(d: Draft) -> None:
    """To sizes, or by scales."""
    x = d.activation(4)
    if x is None:
        return
    *outer, height, width = d.shapes[x]
    new = (*outer, 2 * height, 2 * width)
    if d.choose([0, 1]):
        d.emit("Resize", [x, "", "", d.constant(np.array(new))], new)
    else:
        d.emit("Resize", [x, "", d.constant(np.array([1, 1, 2, 2], np.float32))], new, mode="linear")


def blocks(d: Draft) -> None:
    """Channels to positions, or positions to channels."""
    x = d.activation(4)
    if x is None:
        return
    n, channels, height, width = d.shapes[x]
    if channels % 4 == 0:
        mode = d.choose(["DCR", "CRD"])
        d.emit("DepthToSpace", [x], (n, channels // 4, 2 * height, 2 * width), blocksize=2, mode=mode)
    elif height % 2 == width % 2 == 0:
        d.emit("SpaceToDepth", [x], (n, 4 * channels, height // 2, width // 2), blocksize=2)


def expand(d: Draft) -> None:
    """Along axes of one element, the shape given or computed."""
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    others = [name for name, other in d.shapes.items() if len(other) == len(shape) and _broadcasts(shape, other)]
    other = d.choose(others)
    wanted = d.emit("Shape", [other], (len(shape),)) if d.choose([0, 1]) else d.constant(np.array(d.shapes[other]))
    d.shapes.pop(wanted, None)
    d.emit("Expand", [x, wanted], d.shapes[other])


def slope(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is not None:
        d.emit("PRelu", [x, d.weight(d.shapes[x][-1])], d.shapes[x])


def pool(d: Draft) -> None:
    x = d.activation(4)
    if x is not None:
        shape = d.shapes[x]
        kind = d.choose(["MaxPool", "AveragePool"])
        d.emit(kind, [x], (*shape[:2], shape[2] + 1, shape[3] + 1), kernel_shape=[2, 2], pads=[1, 1, 1, 1])


def concat(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    assert x is None or d.shapes[x]
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(1, len(shape)))
    fits = [
        name
        for name, other in d.shapes.items()
        if len(other) == len(shape) and _without(other, axis) == _without(shape, axis)
    ]
    other = d.choose(fits)
    d.emit("Concat", [x, other], (*shape[:axis], shape[axis] + d.shapes[other][axis], *shape[axis + 1 :]), axis=axis)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def transpose(d: Draft) -> None:
    x = d.activation(2, 3, 4, 5)
    if x is not None:
        order = d.draw(st.permutations(range(len(d.shapes[x]))))
        d.emit("Transpose", [x], tuple(d.shapes[x][axis] for axis in order), perm=order)


def flatten(d: Draft) -> None:
    x = d.activation(3, 4)
    if x is not None:
        d.emit("Flatten", [x], (d.shapes[x][0], math.prod(d.shapes[x][1:])))


def reshape(d: Draft) -> None:
    """Split an axis in two, or merge two neighbours."""
    x = d.activation(2, 3, 4, 5)
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(len(shape) - 1))
    if len(shape) == 5 or d.choose([0, 1]):
        new = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
    else:
        size = d.choose([each for each in range(1, shape[axis] + 1) if shape[axis] % each == 0])
        new = (*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :])
    d.emit("Reshape", [x, d.constant(np.array(new))], new)


def slice_(d: Draft) -> None:
    """Forwards or backwards, with a stride."""
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(len(shape)))
    extent, step = shape[axis], d.choose([1, 1, 2, -1, -2, 3])
    start = d.choose(range(extent))
    end = d.choose(range(start + 1, extent + 1) if step > 0 else range(start)) if step > 0 or start else -extent - 1
    bounds = [d.constant(np.array([each])) for each in (start, end, axis, step)]
    taken = len(range(extent)[slice(start, None if end < 0 else end, step)])
    d.emit("Slice", [x, *bounds], _with(shape, axis, taken))


def split(d: Draft) -> None:
    """In parts of given sizes, or equal ones."""
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(len(shape)))
    if shape[axis] % 2 == 0 and d.choose([0, 1]):
        sizes, inputs, count = [shape[axis] // 2] * 2, [x], 2
    else:
        first = d.choose(range(1, shape[axis])) if shape[axis] > 1 else 1
        sizes = [first, shape[axis] - first] if shape[axis] > 1 else [1]
        inputs, count = [x, d.constant(np.array(sizes))], None
    names = [f"v{len(d.nodes)}_{place}" for place in range(len(sizes))]
    d.nodes.append(onnx.helper.make_node("Split", inputs, names, names[0], axis=axis, num_outputs=count))
    d.shapes.update({name: _with(shape, axis, size) for name, size in zip(names, sizes, strict=True)})
    d.emit("Concat", names[::-1], shape, axis=axis)


def _with(shape: Shape, axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def gather(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis = d.choose(range(len(shape)))
    picks = np.array(d.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=4)))
    if picks.size == 4 and len(shape) < 4:
        picks = picks.reshape(2, 2)
    d.emit("Gather", [x, d.constant(picks)], (*shape[:axis], *picks.shape, *shape[axis + 1 :]), axis=axis)


def reduce(d: Draft) -> None:
    x = d.activation(2, 3, 4)
    if x is None:
        return
    shape = d.shapes[x]
    axis, kept = d.choose(range(len(shape))), d.choose([0, 1])
    result = tuple(1 if i == axis else each for i, each in enumerate(shape) if kept or i != axis)
    kind = d.choose(["ReduceMean", "ReduceSum", "ReduceMax"])
    d.emit(kind, [x, d.constant(np.array([axis]))], result, keepdims=kept)


STEPS: list[Callable[[Draft], None]] = [
    *([convolution] * 4), *([matmul] * 3), *([binary] * 4), *([unary] * 2), shift, shift, product, transposed, norm,
    norm, group_norm, softmax, split, pad, resize, blocks, expand, slope, gemm, pool, concat, concat, transpose,
    transpose, flatten, reshape, reshape, slice_, gather, reduce, reduce, einsum, einsum, attention, quantize,
]  # fmt: skip


@st.composite
def drafts(draw: st.DrawFn) -> ir.Model:
    """A graph of up to 11 steps with one output."""
    d = Draft(draw)
    (convolution if len(d.shapes["x"]) == 4 else matmul)(d)
    for _ in range(draw(st.integers(1, 9))):
        d.draw(st.sampled_from(STEPS))(d)
        if math.prod(d.shapes[list(d.shapes)[-1]]) > 4096:
            break
    if len(d.shapes[list(d.shapes)[-1]]) > 1:
        matmul(d)
    last = list(d.shapes)[-1]
    given_input, output = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", d.shapes["x"]), (last, d.shapes[last]))
    )
    graph = onnx.helper.make_graph(d.nodes, "g", [given_input], [output], d.constants)
    opset = onnx.helper.make_opsetid("", 23)
    model = ir.from_proto(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10))
    infer_shapes(model)
    return model
