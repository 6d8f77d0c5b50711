"""From a prepared graph to one function: each group of nodes becomes calls of kernels on flat buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from graphprune.backends.tvm.building.tuning import Tuner
from graphprune.backends.tvm.kernels.builder import NAME, Machine
from graphprune.backends.tvm.kernels.elements import itemsize
from graphprune.backends.tvm.kernels.elementwise import copy_function
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.lowering.fusion import Group, fuse
from graphprune.backends.tvm.lowering.layout import Order, plan_layouts
from graphprune.backends.tvm.program.entry import Entry, make_entry
from graphprune.backends.tvm.program.recording import Array, Buffer, Kernels, Recording, Weights
from graphprune.errors import BackendError
from graphprune_runtime.description import KernelCall, KernelNote, LayoutNote

Lower = Callable[["Lowering", Group], None]


class ChooseNm(Protocol):
    """The weight of a product for the N:M kernel, where that is the fastest."""

    def __call__(self, node: ir.Node, machine: Machine, *, near: bool) -> Handle | None:
        """None where another kernel is; `near` tells whether all weights fit the L2 cache."""


Join = Callable[[Sequence[Group], Machine], Sequence[Group]]
"""Makes one group of several that one kernel computes."""

FLOAT32 = "graphprune.float32"
"""The property of a node between integers that no kernel for integers takes: the reason."""


SHARE_OF_L3 = 0.5
"""How much of the last cache weights may take to stay there between runs: it holds other things too."""


class Lowering:
    """The state of one lowering: the view of each value, and the calls recorded so far.

    The weights of the whole model stay in the L2 cache between runs where `is_near`, and in none where `is_far`.
    """

    def __init__(
        self,
        recording: Recording,
        machine: Machine,
        layouts: dict[ir.Value, Order],
        nm_weights: Mapping[ir.Node, Handle],
        tuner: Tuner | None = None,
        *,
        is_near: bool,
        is_far: bool,
    ) -> None:
        self.tuner, self.is_near, self.is_far = tuner, is_near, is_far
        self._recording = recording
        self.machine = machine
        self.nm_weights = nm_weights
        self.kernels: list[KernelNote] = []
        self.calls: list[KernelCall] = []
        self._node = self._operators = self._float32 = ""
        self._layouts = layouts
        self._views: dict[ir.Value, View] = {}

    def begin(self, group: Group, part: str = "") -> None:
        """Say which nodes the kernels that follow are for, or which part of the first of them."""
        self._node = f"{group.anchor.name or ''}{part}"
        self._operators = "+".join(node.op_type for node in group.nodes)
        self._float32 = group.anchor.metadata_props.get(FLOAT32, "")

    def end(self) -> None:
        """Record that the node of `begin` runs in float32, if it should not and nothing was noted of it."""
        if self._float32:
            self.kernels.append(KernelNote(self._node, "float32", self._float32, ("float32",)))

    def prefer_float32(self, reason: str) -> None:
        """Say why the current node, a product of integers, runs in float32; what is noted next tells."""
        self._float32 = reason

    def note(self, kernel: str, why: str, eligible: tuple[str, ...]) -> None:
        """Record which kernel the current node is given, why, and which ones it could be given."""
        float32 = f"; in float32, because {self._float32}" if self._float32 else ""
        self.kernels.append(KernelNote(self._node, kernel, why + float32, eligible))
        self._float32 = ""

    def define(self, value: ir.Value, view: View) -> None:
        """Record the view of a value."""
        self._views[value] = view

    def layouts(self, groups: Sequence[Group]) -> list[LayoutNote]:
        """The memory layouts of those outputs of the groups that are not row-major."""
        lying = ((group.output, self._views[group.output]) for group in groups if group.output in self._views)
        orders = ((value.name or "", view.shape, view.memory_order()) for value, view in lying)
        return [LayoutNote(*each) for each in orders if each[2] != tuple(range(len(each[2])))]

    def view(self, value: ir.Value) -> View:
        """The view of a value; a constant becomes a weight when it is first asked for."""
        if value not in self._views:
            self._views[value] = self.constant(constant_array(value))
        return self._views[value]

    def constant(self, array: Array) -> View:
        """An array as a row-major view of a weight."""
        dtype = dtype_name(array.dtype)
        return View.dense(self._recording.weight(np.ascontiguousarray(array).reshape(-1), dtype), dtype, array.shape)

    def order(self, value: ir.Value, otherwise: View | None = None) -> Order:
        """The memory order to write a value in: the planned one, else that of `otherwise`, else row-major."""
        if value in self._layouts:
            return self._layouts[value]
        if otherwise is not None and otherwise.shape == static_shape(value):
            return otherwise.memory_order()
        return tuple(range(len(static_shape(value))))

    def call(
        self,
        function: Handle,
        inputs: Sequence[View],
        size: int,
        dtype: str,
        operations: int = 0,
        read: Sequence[View] | None = None,
    ) -> Buffer:
        """Record a call of a TIR function that reads these buffers and writes a new one of `size` elements.

        `operations` are those of products (see `KernelCall`); `read` is what it reads, where not all of `inputs`.
        """
        nbytes = _bytes_of(inputs if read is None else read) + size * itemsize(dtype)
        self._record(function, operations, nbytes)
        result = Buffer(size, dtype)
        self._recording.call(function, [view.buffer for view in inputs], [result])
        return result

    def call_all(
        self, function: Handle, inputs: Sequence[View], results: Sequence[View], operations: int = 0
    ) -> list[Buffer]:
        """As `call`, for a function that writes several buffers: one for each of `results`."""
        self._record(function, operations, _bytes_of([*inputs, *results]))
        buffers = [Buffer(view.size, view.dtype) for view in results]
        self._recording.call(function, [view.buffer for view in inputs], buffers)
        return buffers

    def _record(self, function: Handle, operations: int, nbytes: int) -> None:
        kernel = str(function.attrs[NAME])
        self.calls.append(KernelCall(self._node, self._operators, kernel, operations, nbytes))

    def reshaped(self, view: View, shape: Sequence[int]) -> View:
        """The view in another shape, copied first where no strides express it."""
        result = view.reshape(shape) or self.dense(view).reshape(shape)
        assert result is not None
        return result

    def dense(self, view: View, order: Order | None = None) -> View:
        """The same values as a dense buffer in `order` (default row-major); the view itself where it already is one."""
        wanted = View.dense(None, view.dtype, view.shape, order)
        return view if view.is_dense_as(wanted.strides) else self.copied(view, order)

    def copied(self, view: View, order: Order | None = None) -> View:
        """The same values in a new dense buffer in `order` (default row-major)."""
        wanted = View.dense(None, view.dtype, view.shape, order)
        buffer = self.call(copy_function(self.machine, view, wanted), [view], view.elements, view.dtype)
        return View.dense(buffer, view.dtype, view.shape, order)


def _bytes_of(views: Sequence[View]) -> int:
    """Bytes of the elements that the views reach, each counted once."""
    return sum(min(view.size, view.elements) * itemsize(view.dtype) for view in views)


def dtype_name(dtype: np.dtype[Any]) -> str:
    """TVM's name of a NumPy dtype."""
    return "bool" if dtype == np.bool_ else str(dtype)


def constant_array(value: ir.Value) -> Array:
    """The value of an initializer as a NumPy array.

    Raises:
        BackendError: the value is not a constant.
    """
    if value.const_value is None:
        raise BackendError(f"value '{value.name}' is not a constant", code="GP402")
    return np.asarray(value.const_value.numpy())


def is_constant(value: ir.Value | None) -> bool:
    """True for an initializer."""
    return value is not None and value.is_initializer() and value.const_value is not None


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The value's shape, all of whose dimensions are known."""
    if value.shape is None or not all(isinstance(d, int) for d in value.shape):
        raise BackendError(f"value '{value.name}' has no static shape, found {value.shape}", code="GP403")
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]


def static_dtype(value: ir.Value) -> str:
    """TVM's name of the value's element type."""
    if value.dtype is None:
        raise BackendError(f"value '{value.name}' has no known element type", code="GP403")
    return dtype_name(value.dtype.numpy())


@dataclass(frozen=True)
class Lowered:
    """One program: its function, and what was chosen for it."""

    entry: Entry
    kernels: list[KernelNote]
    calls: list[KernelCall]
    layouts: list[LayoutNote]


def lower_graph(
    graph: ir.Graph,
    machine: Machine,
    operators: dict[str, Lower],
    elementwise: Sequence[str],
    anchors: Sequence[str],
    join: Join,
    choose_nm: ChooseNm,
    tuner: Tuner | None = None,
    *,
    into: tuple[Kernels, Weights],
) -> Lowered:
    """The program of a graph; the kernels that it calls and the weights that they take are added to `into`.

    `graph` is topologically sorted, its shapes are static and every operator in it has an entry in `operators` or
    `elementwise`. Kernels are chosen by estimate, or by measurement where there is a `tuner`.
    """
    groups = join(fuse(graph, elementwise, anchors), machine)
    recording = Recording(*into)
    constants = (value.const_value for value in graph.initializers.values())
    nbytes = sum(tensor.nbytes for tensor in constants if tensor is not None)
    is_near, is_far = nbytes <= machine.l2_bytes, nbytes > SHARE_OF_L3 * machine.l3_bytes
    nm_weights = {node: weight for node in graph if (weight := choose_nm(node, machine, near=is_near)) is not None}
    layouts = plan_layouts(groups, elementwise.__contains__, nm_weights)
    lowering = Lowering(recording, machine, layouts, nm_weights, tuner, is_near=is_near, is_far=is_far)
    for value in graph.inputs:
        dtype = static_dtype(value)
        lowering.define(value, View.dense(recording.input(_size(value), dtype), dtype, static_shape(value)))
    for group in groups:
        lowering.begin(group)
        operators[group.anchor.op_type](lowering, group)
        lowering.end()
    entry = make_entry(recording, _outputs(lowering, recording, graph.outputs))
    return Lowered(entry, lowering.kernels, lowering.calls, lowering.layouts(groups))


def _outputs(lowering: Lowering, recording: Recording, values: Sequence[ir.Value]) -> list[Buffer]:
    """Row-major buffers of the outputs, each its own: kernels write them where the caller wants them."""
    buffers: list[Buffer] = []
    for value in values:
        view = lowering.dense(lowering.view(value))
        if not recording.is_written(view.buffer) or view.buffer in buffers or view.size != view.elements:
            view = lowering.copied(view)
        buffers.append(view.buffer)
    return buffers


def _size(value: ir.Value) -> int:
    return int(np.prod(static_shape(value), dtype=np.int64))
