"""Turn an `onnx_ir.Model` into a `torch.fx.GraphModule` that can be trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from torch import fx, nn

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.torch_masks import add_mask
from graphprune.frontends.torch_names import AttributeNames, is_safe, word
from graphprune.frontends.torch_operators import (
    FUNCTIONS,
    FUNCTIONS_OF_ALL_OUTPUTS,
    MODULES,
    MODULES_OF_ALL_OUTPUTS,
)
from graphprune.frontends.torch_operators.values import TYPES, on_tensors, takes_tensors, typed
from graphprune.frontends.torch_origin import Input, Origin, open_axes
from graphprune.frontends.torch_support import has_only_first_output, prepare, used_outputs, uses_all_outputs
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import describe
from graphprune.masked.calls import is_mask_call, mask_calls
from graphprune.stages.stage import Stage, get_stage

_LONGEST_SHAPE = 64  # a longer vector of integers is data
_STATISTICS = frozenset({3, 4})  # inputs of BatchNormalization that training updates but no optimizer does
# Numbers that say what a node does, rather than data.
_SETTINGS = frozenset({("Dropout", 1), ("Dropout", 2), ("Pad", 2), ("Resize", 1), ("Resize", 2)})
_SEVERAL_OUTPUTS = frozenset(
    {"DynamicQuantizeLinear", "GRU", "LSTM", "RNN", "Split", "TopK"}
)  # even where the node names only one
_DFT_AXIS_IS_INPUT = 20  # since this opset


def to_torch(model: ir.Model) -> fx.GraphModule:
    """Return a module that computes what `model` does, and can be trained.

    Floating-point initializers of more than one element are parameters, called in `state_dict` as in the file, or by a
    word made of a name that Python code cannot hold; running statistics, single numbers and everything else are
    buffers. BatchNormalization and Dropout follow the module's mode; it comes in eval mode. Functions of the model are
    inlined, but not soft masks: `from_torch` gives them back as they were. Their thresholds are constants in the
    gradient. Open dimensions stay open.

    Returns:
        A module called with tensors in the order of the graph's inputs; it returns a tensor, or a tuple of them.

    Raises:
        InputError: `model` is no model (GP536).
        UnsupportedModelError: Operators that are not supported, all in one message (GP130); an attribute or an output
            that is not (GP131); a packed model (GP133); a damaged soft mask (GP360 to GP364).
    """
    check_model("to_torch", model)
    if get_stage(model) is Stage.PACKED:
        raise UnsupportedModelError("model is in stage packed; unpack it before it is trained", code="GP133")
    mask_calls(model)
    return _Builder(prepare(model)).build()


class _Builder:
    """Goes over the graph once; every value becomes a node of the fx graph, or a literal."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.root = nn.Module()
        self.graph = fx.Graph()
        self.names = AttributeNames()
        self.places: dict[str, str] = {}  # of initializers
        self.values: dict[ir.Value, Any] = {}

    def build(self) -> fx.GraphModule:
        for value in self.model.graph.inputs:
            if value.name not in self.model.graph.initializers:
                self.values[value] = self._placeholder(value)
        self._initializers()
        for node in self.model.graph:
            self._node(node)
        results = tuple(self._output(value) for value in self.model.graph.outputs)
        self.graph.output(results[0] if len(results) == 1 else results)
        self.graph.lint()
        module = fx.GraphModule(self.root, self.graph, word(self.model.graph.name or "GraphModule")).eval()
        self._origin().keep(module)
        return module

    def _placeholder(self, value: ir.Value) -> fx.Node:
        node = self.graph.create_node("placeholder", word(value.name), name=word(value.name))
        node.target = node.name  # which fx made unique, and no keyword
        return node

    def _output(self, value: ir.Value) -> Any:  # noqa: ANN401 - a node, or a literal
        result = self.values[value]
        return self.graph.call_function(typed, (result, _torch_type(value))) if _may_be_shape(value) else result

    def _origin(self) -> Origin:
        inputs = [value for value in self.model.graph.inputs if value.name not in self.model.graph.initializers]
        return Origin(
            tuple(Input(self.values[value].name, value.name or "", open_axes(value)) for value in inputs),
            tuple(value.name or "" for value in self.model.graph.outputs),
            {place: name for name, place in self.places.items() if place != name},
            {call.name: (call.node.name or "", call.node.outputs[0].name or "") for call in mask_calls(self.model)},
        )

    def _initializers(self) -> None:
        """Safe names first, so that no other takes their place; in the order of the file, which optimizers go by."""
        found = self.model.graph.initializers
        self.places = {name: self.names.take(name) for name in sorted(found, key=lambda name: not is_safe(name))}
        for name, value in found.items():
            assert value.const_value is not None  # load refuses others
            self.values[value] = self._constant(
                self.places[name], value, value.const_value, trainable=_is_trainable(value)
            )

    def _constant(self, place: str, value: ir.Value, array: ir.TensorProtocol, *, trainable: bool) -> object:
        data = _tensor(array)
        if value.uses() and all((node.op_type, index) in _SETTINGS for node, index in value.uses()):
            return tuple(data.tolist()) if data.dim() else data.item()
        if data.dtype == torch.int64 and data.dim() <= 1 and data.numel() <= _LONGEST_SHAPE:
            return tuple(data.tolist()) if data.dim() else int(data)
        return self._hold(place, data, trainable=trainable)

    def _hold(self, place: str, data: torch.Tensor, *, trainable: bool = False) -> fx.Node:
        """Make a parameter or a buffer, in modules that are made where they are missing."""
        *path, attribute = place.split(".")
        holder = self.root
        for part in path:
            if part not in dict(holder.named_children()):
                holder.add_module(part, nn.Module())
            holder = holder.get_submodule(part)
        if trainable:
            holder.register_parameter(attribute, nn.Parameter(data))
        else:
            holder.register_buffer(attribute, data)
        return self.graph.get_attr(place)

    def _node(self, node: ir.Node) -> None:
        if node.op_type == "Constant":
            value = node.outputs[0]
            place = self.names.take(f"constant_{word(value.name)}")
            self.values[value] = self._constant(place, value, _constant_of(node), trainable=False)
            return
        inputs = tuple(None if value is None else self.values[value] for value in node.inputs)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        self._results(node, self._call(node, inputs))

    def _call(self, node: ir.Node, inputs: tuple[Any, ...]) -> fx.Node:
        if is_mask_call(node):
            return add_mask(self.graph, node, inputs, word(node.outputs[0].name))
        attributes: dict[str, Any] = {
            name: self._attribute(node, attribute) for name, attribute in node.attributes.items()
        }
        every = uses_all_outputs(node)
        if node.op_type in MODULES:
            kind = (MODULES_OF_ALL_OUTPUTS if every else MODULES)[node.op_type]
            _verify_attributes(node, kind.__init__, attributes)
            place = self.names.take(f"{node.op_type}_{word(node.outputs[0].name)}")
            self.root.add_module(place, kind(**attributes))
            return self._named("call_module", node, place, inputs)
        if node.op_type == "Split" and len(inputs) == 1:
            attributes["num_outputs"] = len(node.outputs)
        if node.op_type == "DFT" and self.model.opset_imports[""] < _DFT_AXIS_IS_INPUT:
            attributes.setdefault("axis", 1)
        function = (FUNCTIONS_OF_ALL_OUTPUTS if every else FUNCTIONS)[node.op_type]
        _verify_attributes(node, function, attributes)
        leaves = not any(map(_may_be_shape, node.outputs))  # truths about shapes, which are integers, become a tensor
        dtypes = [
            _torch_type(value) if _may_be_shape(value) and (must or (leaves and _is_truth(value))) else None
            for value, must in zip(node.inputs, takes_tensors(function, len(node.inputs)), strict=True)
        ]
        if any(dtypes):
            function = on_tensors(function, dtypes)
        return self._named("call_function", node, function, inputs, attributes)

    def _named(
        self,
        kind: str,
        node: ir.Node,
        target: str | Callable[..., Any],
        inputs: tuple[Any, ...],
        attributes: dict[str, Any] | None = None,
    ) -> fx.Node:
        """A call whose result is called as in the file; fx makes the name unique, and no keyword."""
        return self.graph.create_node(kind, target, inputs, attributes, name=word(node.outputs[0].name))

    def _attribute(self, node: ir.Node, attribute: ir.Attr) -> object:
        """What a function takes; a tensor becomes a buffer, because code cannot hold it."""
        if attribute.type == ir.AttributeType.TENSOR:
            place = self.names.take(f"{word(attribute.name)}_of_{word(node.outputs[0].name)}")
            return self._hold(place, _tensor(attribute.as_tensor()))
        value = attribute.value
        return list(value) if isinstance(value, tuple) else value

    def _results(self, node: ir.Node, result: fx.Node) -> None:
        single = len(node.outputs) == 1 and node.op_type not in _SEVERAL_OUTPUTS
        if single or has_only_first_output(node):
            self.values[node.outputs[0]] = result
        else:
            for index in used_outputs(node):
                self.values[node.outputs[index]] = self.graph.call_function(_item, (result, index))


def _item(values: tuple[Any, ...], index: int) -> Any:  # noqa: ANN401 - one of several results
    return values[index]


def _may_be_shape(value: ir.Value | None) -> bool:
    """Whether the value may be integers at run time, or truths about some, rather than a tensor."""
    if value is None or value.dtype not in (ir.DataType.INT64, ir.DataType.BOOL, None):
        return False
    return value.shape is None or value.shape.rank() <= 1


def _is_truth(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.BOOL


def _torch_type(value: ir.Value | None) -> torch.dtype:
    return torch.int64 if value is None or value.dtype is None else TYPES[value.dtype.value]


def _is_trainable(value: ir.Value) -> bool:
    tensor = value.const_value
    assert tensor is not None  # asked before
    statistics = any(node.op_type == "BatchNormalization" and index in _STATISTICS for node, index in value.uses())
    return tensor.dtype.is_floating_point() and tensor.size > 1 and not statistics


def _tensor(array: ir.TensorProtocol) -> torch.Tensor:
    kind = TYPES.get(array.dtype.value)
    if kind is None:
        raise UnsupportedModelError(f"to_torch: '{array.name}' holds {array.dtype.name.lower()}", code="GP131")
    data = array.numpy()
    wide = torch.from_numpy(data.astype("float32")) if kind == torch.bfloat16 else torch.from_numpy(data.copy())
    return wide.to(kind)


def _constant_of(node: ir.Node) -> ir.TensorProtocol:
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    if tensor is None:
        raise UnsupportedModelError(f"to_torch: {describe(node)}: its value is no tensor", code="GP131")
    return tensor


def _verify_attributes(node: ir.Node, function: Callable[..., Any], attributes: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # one of torch's own, without attributes
        parameters = {}  # type: ignore[assignment]
    for name in attributes:
        if name not in parameters or parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise UnsupportedModelError(f"to_torch: {describe(node)}: attribute '{name}'", code="GP131")
