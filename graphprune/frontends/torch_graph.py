"""Turn an `onnx_ir.Model` into a `torch.fx.GraphModule` that can be trained."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from torch import fx, nn

from graphprune.errors import UnsupportedModelError
from graphprune.frontends.torch_operators import (
    FUNCTIONS,
    FUNCTIONS_OF_ALL_OUTPUTS,
    MODULES,
    MODULES_OF_ALL_OUTPUTS,
)
from graphprune.frontends.torch_operators.values import TYPES
from graphprune.frontends.torch_support import has_only_first_output, prepare, used_outputs, uses_all_outputs
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import describe
from graphprune.stages.stage import Stage, get_stage

_LONGEST_SHAPE = 64  # a longer vector of integers is data
_STATISTICS = frozenset({3, 4})  # inputs of BatchNormalization that training updates but no optimizer does
# Numbers that say what a node does, rather than data.
_SETTINGS = frozenset({("Dropout", 1), ("Dropout", 2), ("Pad", 2), ("Resize", 1), ("Resize", 2)})
_SEVERAL_OUTPUTS = frozenset({"GRU", "LSTM", "RNN", "Split", "TopK"})  # even where the node names only one
_DFT_AXIS_IS_INPUT = 20  # since this opset


def to_torch(model: ir.Model) -> fx.GraphModule:
    """Return a module that computes what `model` does, and can be trained.

    Floating-point initializers of more than one element are parameters, called in `state_dict` as in the file; running
    statistics, single numbers and everything else are buffers. BatchNormalization and Dropout follow the module's mode;
    it comes in eval mode. Functions of the model are inlined. Open dimensions stay open.

    Returns:
        A module called with tensors in the order of the graph's inputs; it returns a tensor, or a tuple of them.

    Raises:
        InputError: `model` is no model (GP536).
        UnsupportedModelError: Operators that are not supported, all in one message (GP130); an attribute or an output
            that is not (GP131); names that cannot be those of parameters (GP132); a packed model (GP133).
    """
    check_model("to_torch", model)
    if get_stage(model) is Stage.PACKED:
        raise UnsupportedModelError("model is in stage packed; unpack it before it is trained", code="GP133")
    return _Builder(prepare(model)).build()


class _Builder:
    """Goes over the graph once; every value becomes a node of the fx graph, or a literal."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.root = nn.Module()
        self.graph = fx.Graph()
        self.values: dict[ir.Value, Any] = {}

    def build(self) -> fx.GraphModule:
        for value in self.model.graph.inputs:
            if value.name not in self.model.graph.initializers:
                self.values[value] = self.graph.placeholder(_identifier(value.name))
        for name, value in self.model.graph.initializers.items():
            assert value.const_value is not None  # load refuses others
            self.values[value] = self._constant(name, value, value.const_value, trainable=_is_trainable(value))
        for node in self.model.graph:
            self._node(node)
        results = tuple(self.values[value] for value in self.model.graph.outputs)
        self.graph.output(results[0] if len(results) == 1 else results)
        self.graph.lint()
        return fx.GraphModule(self.root, self.graph, self.model.graph.name or "GraphModule").eval()

    def _constant(self, name: str, value: ir.Value, array: ir.TensorProtocol, *, trainable: bool) -> object:
        data = _tensor(array)
        if value.uses() and all((node.op_type, index) in _SETTINGS for node, index in value.uses()):
            return tuple(data.tolist()) if data.dim() else data.item()
        if data.dtype == torch.int64 and data.dim() <= 1 and data.numel() <= _LONGEST_SHAPE:
            return tuple(data.tolist()) if data.dim() else int(data)
        holder, attribute = self._holder(name)
        if trainable:
            holder.register_parameter(attribute, nn.Parameter(data))
        else:
            holder.register_buffer(attribute, data)
        return self.graph.get_attr(name)

    def _holder(self, name: str) -> tuple[nn.Module, str]:
        """The module that a dotted name lives in, made where it is missing."""
        *path, attribute = name.split(".")
        holder = self.root
        for part in path:
            inner = getattr(holder, part, None) if part else self.root
            if inner is None:
                inner = nn.Module()
                holder.add_module(part, inner)
            if not part or not isinstance(inner, nn.Module):
                raise UnsupportedModelError(f"to_torch: '{name}' cannot be the name of a parameter", code="GP132")
            holder = inner
        if not attribute or hasattr(holder, attribute):
            raise UnsupportedModelError(f"to_torch: '{name}' cannot be the name of a parameter", code="GP132")
        return holder, attribute

    def _node(self, node: ir.Node) -> None:
        if node.op_type == "Constant":
            name = f"constant_{_identifier(node.outputs[0].name)}"
            value = node.outputs[0]
            self.values[value] = self._constant(name, value, _constant_of(node), trainable=False)
            return
        inputs = tuple(None if value is None else self.values[value] for value in node.inputs)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        result = self._call(node, inputs)
        result.name = _unique(self.graph, result, _identifier(node.outputs[0].name))
        self._results(node, result)

    def _call(self, node: ir.Node, inputs: tuple[Any, ...]) -> fx.Node:
        attributes: dict[str, Any] = {
            name: self._attribute(node, attribute) for name, attribute in node.attributes.items()
        }
        every = uses_all_outputs(node)
        if node.op_type in MODULES:
            kind = (MODULES_OF_ALL_OUTPUTS if every else MODULES)[node.op_type]
            _verify_attributes(node, kind.__init__, attributes)
            name = f"{node.op_type}_{_identifier(node.outputs[0].name)}"
            self.root.add_module(name, kind(**attributes))
            return self.graph.call_module(name, inputs)
        if node.op_type == "Split" and len(inputs) == 1:
            attributes["num_outputs"] = len(node.outputs)
        if node.op_type == "DFT" and self.model.opset_imports[""] < _DFT_AXIS_IS_INPUT:
            attributes.setdefault("axis", 1)
        function = (FUNCTIONS_OF_ALL_OUTPUTS if every else FUNCTIONS)[node.op_type]
        _verify_attributes(node, function, attributes)
        return self.graph.call_function(function, inputs, attributes)

    def _attribute(self, node: ir.Node, attribute: ir.Attr) -> object:
        """What a function takes; a tensor becomes a buffer, because code cannot hold it."""
        if attribute.type == ir.AttributeType.TENSOR:
            name = f"{attribute.name}_of_{_identifier(node.outputs[0].name)}"
            holder, _ = self._holder(name)
            holder.register_buffer(name, _tensor(attribute.as_tensor()))
            return self.graph.get_attr(name)
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


def _identifier(name: str | None) -> str:
    """A word that Python takes for a name."""
    word = re.sub(r"\W", "_", name or "value")
    return f"_{word}" if not word or word[0].isdigit() else word


def _unique(graph: fx.Graph, node: fx.Node, wanted: str) -> str:
    taken = {"output"} | {other.name for other in graph.nodes if other is not node}
    return wanted if wanted not in taken and wanted.isidentifier() else node.name
