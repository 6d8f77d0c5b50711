"""What a module that was made from a file remembers of it, so that an export calls everything as the file did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphprune.masked.calls import mask_calls

if TYPE_CHECKING:
    from torch import fx, nn

_KEY = "graphprune.origin"


@dataclass(frozen=True)
class Input:
    """An input of the file.

    Attributes:
        argument: What the module's function calls it.
        name: What the file calls it.
        open: The axes whose extent the file leaves open, with the name of it, which inputs may share.
    """

    argument: str
    name: str
    open: Mapping[int, str]


@dataclass(frozen=True)
class Origin:
    """The interface of the file that a module was made from.

    Attributes:
        inputs: In order.
        outputs: Their names, in order.
        parameters: Name in the module's `state_dict` -> name in the file, where they differ.
        masks: Name of a weight in the file -> names of the node of its soft mask, and of what that gives.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, str]
    masks: Mapping[str, tuple[str, str]]

    def keep(self, module: fx.GraphModule) -> None:
        """Let `module`, and copies of it, remember."""
        module.meta[_KEY] = self

    @property
    def open(self) -> dict[str, str]:
        """Name of an open extent in the file -> what it is called while the module is exported."""
        names = dict.fromkeys(name for given in self.inputs for name in given.open.values())
        return {name: f"open_{index}" for index, name in enumerate(names)}

    def dynamic_shapes(self) -> dict[str, dict[int, Any]] | None:
        """Return what `torch.export` takes to leave open what the file does; None where that is nothing."""
        from torch.export import Dim

        dims = {name: Dim(given) for name, given in self.open.items()}
        shapes = {given.argument: {axis: dims[name] for axis, name in given.open.items()} for given in self.inputs}
        return shapes if dims else None

    def restore(self, model: ir.Model) -> None:
        """Rename what the export of the module called otherwise; a module of another interface keeps its names."""
        graph = model.graph
        if (len(graph.inputs), len(graph.outputs)) != (len(self.inputs), len(self.outputs)):
            return
        names = {value: self.parameters[name] for name, value in graph.initializers.items() if name in self.parameters}
        names |= zip(graph.outputs, self.outputs, strict=True)
        names |= zip(graph.inputs, (given.name for given in self.inputs), strict=True)
        for call in mask_calls(model):
            weight = names.get(call.weight, call.name)
            if weight in self.masks:
                call.node.name, names[call.node.outputs[0]] = self.masks[weight]
        _rename(graph, names)
        _rename_extents(graph, {given: name for name, given in self.open.items()})


def origin_of(module: object) -> Origin | None:
    """Return what `module` remembers, or None: it was not made by `to_torch`."""
    meta = getattr(module, "meta", None)
    found = meta.get(_KEY) if isinstance(meta, dict) else None
    return found if isinstance(found, Origin) else None


def place_of(module: nn.Module, name: str) -> str:
    """Return where in `module` the initializer called `name` in its export is."""
    origin = origin_of(module)
    places = {} if origin is None else {original: place for place, original in origin.parameters.items()}
    return places.get(name, name)


def open_axes(value: ir.Value) -> dict[int, str]:
    """Return the open axes of an input of a file; those without a name have one made of the input's."""
    shape = () if value.shape is None else value.shape
    return {
        axis: dim.value or f"{value.name}_{axis}" for axis, dim in enumerate(shape) if isinstance(dim, ir.SymbolicDim)
    }


def _rename(graph: ir.Graph, names: Mapping[ir.Value, str]) -> None:
    """Give each value its name, and another one to what is called so."""
    values, wanted = _values(graph), set(names.values())
    taken = wanted | {value.name for value in values}
    free = (name for number in itertools.count() if (name := f"value_{number}") not in taken)
    for value in values:
        if value in names or value.name in wanted:
            value.name = next(free)
    for value, name in names.items():
        value.name = name


def _rename_extents(graph: ir.Graph, names: Mapping[str | None, str]) -> None:
    for value in _values(graph):
        if value.shape is not None:
            dims = [names.get(dim.value, dim) if isinstance(dim, ir.SymbolicDim) else dim for dim in value.shape]
            value.shape = ir.Shape(dims)


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)]
