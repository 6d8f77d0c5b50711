"""Random small graphs, dense and packed, against ONNX Runtime with its optimisations off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphprune.backends.onnxruntime import session_for
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.verification.feeds import random_feed
from tests.backends.tvm.graphs import compile_

T = TypeVar("T")
Shape = tuple[int, ...]
MOST_ELEMENTS = 6000
LONGEST = {2: 40, 3: 24, 4: 12}
"""The longest axis of the input, by rank."""


@dataclass
class Draft:
    """A graph under construction: `shapes` of the activations so far, which later nodes may read."""

    draw: st.DrawFn
    rng: np.random.Generator
    shapes: dict[str, Shape] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def number(self, low: int, high: int) -> int:
        """A drawn integer, both ends included."""
        return self.draw(st.integers(low, high))

    def one_of(self, options: Sequence[T]) -> T:
        """A drawn option."""
        return options[self.number(0, len(options) - 1)]

    def constant(self, array: np.ndarray) -> str:
        """A new initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def weight(self, shape: Shape, fan_in: int) -> str:
        """Mostly zeros, a row of zeros among them, or none; activations neither grow nor vanish."""
        kept = self.one_of((0.3, 1.0))
        array = self.rng.standard_normal(shape).astype(np.float32) / math.sqrt(max(fan_in * kept, 1))
        array[self.rng.random(shape) >= kept] = 0
        return self.constant(array)

    def emit(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: float | list[int]) -> None:
        """Add a node whose output is a new activation of this shape."""
        name = f"v{len(self.shapes)}"
        node = onnx.helper.make_node(op, inputs, [name], f"n{len(self.nodes)}")
        node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        self.shapes[name] = tuple(shape)


def convolution(d: Draft, x: str) -> None:
    """Conv over one or two axes: any kernel, stride, dilation, padding and number of groups that fit."""
    shape = d.shapes[x]
    kernel, strides, dilations, begins, ends, sizes = _window(d, shape[2:])
    groups = d.one_of([g for g in range(1, shape[1] + 1) if shape[1] % g == 0])
    outputs = groups * d.number(1, max(1, 12 // groups))
    inputs = shape[1] // groups
    operands = [x, d.weight((outputs, inputs, *kernel), inputs * math.prod(kernel))]
    if d.number(0, 1):
        operands.append(d.constant(d.rng.standard_normal(outputs).astype(np.float32)))
    output, pads = (shape[0], outputs, *sizes), [*begins, *ends]
    d.emit("Conv", operands, output, strides=strides, dilations=dilations, pads=pads, group=groups)


def pool(d: Draft, x: str) -> None:
    """MaxPool or AveragePool, with pads smaller than the kernel."""
    shape = d.shapes[x]
    op = d.one_of(["MaxPool", "AveragePool"])
    kernel, strides, dilations, begins, ends, sizes = _window(d, shape[2:], pooling=True)
    counted = {"count_include_pad": d.number(0, 1)} if op == "AveragePool" else {}
    pads = [*begins, *ends]
    output = (*shape[:2], *sizes)
    d.emit(op, [x], output, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads, **counted)


def _window(d: Draft, sizes: Shape, *, pooling: bool = False) -> tuple[list[int], ...]:
    rows = [_window_along(d, size, pooling=pooling) for size in sizes]
    return tuple(list(column) for column in zip(*rows, strict=True))


def _window_along(d: Draft, size: int, *, pooling: bool) -> tuple[int, ...]:
    """(kernel, stride, dilation, pad before, pad after, outputs) along one axis."""
    kernel = d.number(1, min(4, size))
    dilation = d.number(1, max(1, min(3, (size - 1) // max(kernel - 1, 1))))
    stride = d.number(1, 3)
    most = kernel - 1 if pooling else 2
    before, after = d.number(0, min(most, 2)), d.number(0, min(most, 2))
    reach = (kernel - 1) * dilation + 1
    return kernel, stride, dilation, before, after, (size + before + after - reach) // stride + 1


def linear(d: Draft, x: str) -> None:
    """MatMul with a constant matrix, or Gemm."""
    shape = d.shapes[x]
    outputs = d.number(1, 40)
    if len(shape) == 2 and d.number(0, 1):
        bias = d.constant(d.rng.standard_normal(outputs).astype(np.float32))
        weight = d.weight((outputs, shape[1]), shape[1])
        d.emit("Gemm", [x, weight, bias], (shape[0], outputs), transB=1, alpha=0.5)
    else:
        d.emit("MatMul", [x, d.weight((shape[-1], outputs), shape[-1])], (*shape[:-1], outputs))


def attention(d: Draft, x: str) -> None:
    """The product of an activation with its own transpose, through Softmax, with the activation again."""
    shape = d.shapes[x]
    axes = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    d.emit("Transpose", [x], (*shape[:-2], shape[-1], shape[-2]), perm=axes)
    d.emit("MatMul", [x, _latest(d)], (*shape[:-1], shape[-2]))
    d.emit("Softmax", [_latest(d)], (*shape[:-1], shape[-2]), axis=d.one_of([-1, -2]))
    d.emit("MatMul", [_latest(d), x], shape)


def _latest(d: Draft) -> str:
    return list(d.shapes)[-1]


def unary(d: Draft, x: str) -> None:
    """A function of each element."""
    d.emit(d.one_of(["Relu", "Sigmoid", "Tanh", "Neg", "Abs"]), [x], d.shapes[x])


def binary(d: Draft, x: str) -> None:
    """With another activation of the same shape, or a constant that broadcasts."""
    shape = d.shapes[x]
    same = [name for name, other in d.shapes.items() if other == shape]
    if d.number(0, 1):
        other = d.one_of(same)
    else:
        kept = shape[d.number(0, len(shape)) :]
        other = d.constant(d.rng.standard_normal([d.one_of([1, n]) for n in kept]).astype(np.float32))
    operands = [x, other] if d.number(0, 1) else [other, x]
    d.emit(d.one_of(["Add", "Sub", "Mul", "Max"]), operands, shape)


def reshape(d: Draft, x: str) -> None:
    """To another shape of as many elements and any rank up to 4."""
    size, shape = math.prod(d.shapes[x]), []
    for _ in range(d.number(0, 3)):
        shape.append(d.one_of([n for n in range(1, size + 1) if size % n == 0]))
        size //= shape[-1]
    shape.append(size)
    d.emit("Reshape", [x, d.constant(np.array(shape))], shape)


def transpose(d: Draft, x: str) -> None:
    """Any order of the axes."""
    shape, axes = d.shapes[x], list(range(len(d.shapes[x])))
    order = [axes.pop(d.number(0, len(axes) - 1)) for _ in range(len(axes))]
    d.emit("Transpose", [x], [shape[a] for a in order], perm=order)


def slice_(d: Draft, x: str) -> None:
    """Some elements along one axis, forwards or backwards."""
    shape = d.shapes[x]
    axis, step = d.number(0, len(shape) - 1), d.one_of([-2, -1, 1, 2])
    start = d.number(0, shape[axis] - 1)
    end = -shape[axis] - 1 if step < 0 else shape[axis]
    length = len(range(*slice(start, end, step).indices(shape[axis])))
    operands = [d.constant(np.array([n])) for n in (start, end, axis - len(shape), step)]
    d.emit("Slice", [x, *operands], [length if a == axis else n for a, n in enumerate(shape)])


def concat(d: Draft, x: str) -> None:
    """With another activation that fits, or itself."""
    shape, axis = d.shapes[x], d.number(0, len(d.shapes[x]) - 1)
    fitting = [n for n, s in d.shapes.items() if (*s[:axis], *s[axis + 1 :]) == (*shape[:axis], *shape[axis + 1 :])]
    other = d.one_of([name for name in fitting if len(d.shapes[name]) == len(shape)])
    length = shape[axis] + d.shapes[other][axis]
    d.emit("Concat", [x, other], [length if a == axis else n for a, n in enumerate(shape)], axis=axis)


def expand(d: Draft, x: str) -> None:
    """Repeat along a new leading axis and the axes of size 1."""
    shape = (d.number(1, 2), *(d.number(1, 3) if n == 1 else n for n in d.shapes[x]))
    d.emit("Expand", [x, d.constant(np.array(shape))], shape)


def reduce(d: Draft, x: str) -> None:
    """The mean or maximum along some axes."""
    shape = d.shapes[x]
    axes = [a for a in range(len(shape)) if d.number(0, 1)] or [len(shape) - 1]
    kept = d.number(0, 1)
    result = [1 if a in axes else n for a, n in enumerate(shape) if kept or a not in axes]
    d.emit(d.one_of(["ReduceMean", "ReduceMax"]), [x, d.constant(np.array(axes))], result, keepdims=kept)


def layer_norm(d: Draft, x: str) -> None:
    """Over the last axis."""
    scale = d.constant(d.rng.standard_normal(d.shapes[x][-1]).astype(np.float32))
    d.emit("LayerNormalization", [x, scale], d.shapes[x], epsilon=0.1)


STEPS: list[tuple[Callable[[Draft, str], None], range]] = [
    *([(convolution, range(3, 5))] * 3),
    *([(linear, range(2, 5))] * 2),
    (pool, range(3, 5)),
    (attention, range(2, 5)),
    *((step, range(1, 5)) for step in (unary, unary, binary, binary, reshape, transpose, slice_, concat)),
    (expand, range(4)),
    (reduce, range(1, 5)),
    (layer_norm, range(1, 5)),
]
"""What may come next, and the ranks of the activations it may read."""


@st.composite
def models(draw: st.DrawFn) -> ir.Model:
    """A graph of up to 8 steps; the last two activations are its outputs."""
    d = Draft(draw, np.random.default_rng(0))
    rank = d.number(2, 4)
    d.shapes["x"] = tuple(d.number(1, 3) if a == 0 else d.number(1, LONGEST[rank]) for a in range(rank))
    for _ in range(d.number(2, 8)):
        x = d.one_of([name for name, shape in d.shapes.items() if math.prod(shape) <= MOST_ELEMENTS][-3:])
        step = d.one_of([step for step, ranks in STEPS if len(d.shapes[x]) in ranks])
        step(d, x)
    names = list(d.shapes)[1:][-2:]
    given_input, *outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, d.shapes[name]) for name in ("x", *names)
    ]
    graph = onnx.helper.make_graph(d.nodes, "g", [given_input], outputs, d.constants)
    opset = onnx.helper.make_opsetid("", 20)
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10))


@given(models(), st.booleans(), st.sampled_from(["native", "x86-64-v3"]), st.integers(1, 2))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_equals_onnxruntime(model: ir.Model, packed: bool, target: str, threads: int) -> None:  # noqa: FBT001
    compiled = run_pass(PackWeights(min_sparsity=0.3, layout="rows"), model).model if packed else model
    session = compile_(compiled, target, threads)
    feed = random_feed(session.get_inputs())
    for ours, theirs in zip(session.run(None, feed), session_for(model, optimize=False).run(None, feed), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(theirs).max(initial=0))))
