"""From a prepared graph to a Relax module: each group of nodes becomes calls of TIR functions on flat buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from tvm import relax

from graphprune.backends.tvm.building.tuning import Tuner
from graphprune.backends.tvm.kernels.builder import NAME, Machine
from graphprune.backends.tvm.kernels.elements import itemsize
from graphprune.backends.tvm.kernels.elementwise import copy_function
from graphprune.backends.tvm.kernels.view import Handle, View
from graphprune.backends.tvm.lowering.fusion import Group, fuse
from graphprune.backends.tvm.lowering.layout import Order, plan_layouts
from graphprune.errors import BackendError
from graphprune.runtime.description import KernelCall, KernelNote, LayoutNote

Lower = Callable[["Lowering", Group], None]
ChooseNm = Callable[[ir.Node, Machine], Handle | None]
"""The weight of a product for the N:M kernel, where that is the fastest."""

Array = npt.NDArray[Any]


class Lowering:
    """The state of one lowering: the view of each value, and the Relax function under construction."""

    def __init__(
        self,
        builder: relax.BlockBuilder,
        machine: Machine,
        layouts: dict[ir.Value, Order],
        nm_weights: Mapping[ir.Node, Handle],
        tuner: Tuner | None = None,
    ) -> None:
        self.tuner = tuner
        self.builder = builder
        self.machine = machine
        self.nm_weights = nm_weights
        self.weights: list[tuple[Handle, Array]] = []
        self.kernels: list[KernelNote] = []
        self.calls: list[KernelCall] = []
        self._node = self._operators = ""
        self._layouts = layouts
        self._views: dict[ir.Value, View] = {}

    def begin(self, group: Group) -> None:
        """Say which nodes the kernels that follow are for."""
        self._node = group.anchor.name or ""
        self._operators = "+".join(node.op_type for node in group.nodes)

    def note(self, kernel: str, why: str, eligible: tuple[str, ...]) -> None:
        """Record which kernel the current node is given, why, and which ones it could be given."""
        self.kernels.append(KernelNote(self._node, kernel, why, eligible))

    def define(self, value: ir.Value, view: View) -> None:
        """Record the view of a value."""
        self._views[value] = view

    def layouts(self, groups: Sequence[Group]) -> list[LayoutNote]:
        """The memory layouts of those outputs of the groups that are not row-major."""
        lying = ((group.output, self._views[group.output]) for group in groups if group.output in self._views)
        orders = ((value.name or "", view.shape, view.memory_order()) for value, view in lying)
        return [LayoutNote(*each) for each in orders if each[2] != tuple(range(len(each[2])))]

    def view(self, value: ir.Value) -> View:
        """The view of a value; a constant becomes a parameter of the module when it is first asked for."""
        if value not in self._views:
            self._views[value] = self.constant(constant_array(value))
        return self._views[value]

    def constant(self, array: Array) -> View:
        """An array as a row-major view: a parameter that `main` takes after its inputs."""
        flat = np.ascontiguousarray(array).reshape(-1)
        parameter = relax.Var(f"weight_{len(self.weights)}", relax.TensorType(flat.shape, dtype_name(flat.dtype)))
        self.weights.append((parameter, flat))
        return View.dense(parameter, dtype_name(array.dtype), array.shape)

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
    ) -> Handle:
        """Emit a call of a TIR function that reads these buffers and writes a new one of `size` elements.

        `operations` are those of products (see `KernelCall`); `read` is what it reads, where not all of `inputs`.
        """
        nbytes = _bytes_of(inputs if read is None else read) + size * itemsize(dtype)
        self._record(function, operations, nbytes)
        arguments = relax.Tuple([view.buffer for view in inputs])
        return self.builder.emit(relax.call_tir(self._add(function), arguments, relax.TensorType((size,), dtype)))

    def call_all(self, function: Handle, inputs: Sequence[View], results: Sequence[View]) -> list[Handle]:
        """As `call`, for a function that writes several buffers: one for each of `results`."""
        self._record(function, 0, _bytes_of([*inputs, *results]))
        arguments = relax.Tuple([view.buffer for view in inputs])
        types = [relax.TensorType((view.size,), view.dtype) for view in results]
        outputs = self.builder.emit(relax.call_tir(self._add(function), arguments, types))
        return [self.builder.emit(relax.TupleGetItem(outputs, i)) for i in range(len(results))]

    def _add(self, function: Handle) -> Handle:
        return self.builder.add_func(function, str(function.attrs[NAME]))

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
    """The Relax function `main`, the weights that it takes after the inputs, and what was chosen for them."""

    builder: relax.BlockBuilder
    weights: list[Array]
    kernels: list[KernelNote]
    calls: list[KernelCall]
    layouts: list[LayoutNote]


def lower_graph(
    graph: ir.Graph,
    machine: Machine,
    operators: dict[str, Lower],
    elementwise: Sequence[str],
    anchors: Sequence[str],
    choose_nm: ChooseNm,
    tuner: Tuner | None = None,
) -> Lowered:
    """Build `main`, which takes the graph's inputs and a tuple of weights, and returns the graph's outputs, all flat.

    `graph` is topologically sorted, its shapes are static and every operator in it has an entry in `operators` or
    `elementwise`. Kernels are chosen by estimate, or by measurement where there is a `tuner`.
    """
    groups = fuse(graph, elementwise, anchors)
    builder = relax.BlockBuilder()
    parameters = [
        relax.Var(f"input_{i}", relax.TensorType((_size(value),), static_dtype(value)))
        for i, value in enumerate(graph.inputs)
    ]
    nm_weights = {node: weight for node in graph if (weight := choose_nm(node, machine)) is not None}
    layouts = plan_layouts(groups, elementwise.__contains__, nm_weights)
    lowering = Lowering(builder, machine, layouts, nm_weights, tuner)
    with builder.function("main", attrs={"num_input": len(parameters)}):  # the others are bundled into one tuple
        with builder.dataflow():
            for value, parameter in zip(graph.inputs, parameters, strict=True):
                lowering.define(value, View.dense(parameter, static_dtype(value), static_shape(value)))
            for group in groups:
                lowering.begin(group)
                operators[group.anchor.op_type](lowering, group)
            result = builder.emit_output(relax.Tuple(_outputs(lowering, graph.outputs)))
        builder.emit_func_output(result, params=[*parameters, *(parameter for parameter, _ in lowering.weights)])
    weights = [array for _, array in lowering.weights]
    return Lowered(builder, weights, lowering.kernels, lowering.calls, lowering.layouts(groups))


def _outputs(lowering: Lowering, values: Sequence[ir.Value]) -> list[Handle]:
    """Row-major buffers of the outputs, each its own: callers get them without a copy, and may write into them."""
    buffers: list[Handle] = []
    for value in values:
        view = lowering.dense(lowering.view(value))
        if is_constant(value) or any(view.buffer is other for other in buffers):
            view = lowering.copied(view)
        buffers.append(view.buffer)
    return buffers


def _size(value: ir.Value) -> int:
    return int(np.prod(static_shape(value), dtype=np.int64))
