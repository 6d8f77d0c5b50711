"""The cost of a model after channels would be removed: parameters and multiply-accumulates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.analysis.channels.groups import ChannelGroup
from graphprune.analysis.channels.values import has_channels, is_quantizer
from graphprune.analysis.constants import constant_tensor, is_constant, named_constants, readers
from graphprune.analysis.cost import model_cost


@dataclass(frozen=True)
class _Constant:
    shape: tuple[int, ...]
    macs: int
    cuts: Mapping[int, Sequence[tuple[int, int]]]  # axis -> which group, and how many indices one channel of it has

    def size(self, removed: Sequence[int]) -> int:
        return math.prod(
            extent - sum(removed[group] * repeat for group, repeat in self.cuts.get(axis, ()))
            for axis, extent in enumerate(self.shape)
        )


@dataclass(frozen=True)
class ChannelCost:
    """The cost of a model as a function of the number of channels removed from each group.

    Multiply-accumulates go in proportion to the weights of a node; those of a product of two activations in proportion
    to the outputs of the weight that makes the second one, such as the heads of attention.

    Attributes:
        constants: The constants that have channels.
        products: The products of activations, as the outputs that they are in proportion to.
        other_macs: Multiply-accumulates that stay whatever goes.
    """

    constants: tuple[_Constant, ...]
    products: tuple[_Constant, ...]
    other_macs: int

    @classmethod
    def of(cls, model: ir.Model, groups: Sequence[ChannelGroup]) -> ChannelCost:
        """Prepare the cost of `model`; no tensor is read. Open dimensions count as one."""
        cuts = _cuts(groups)
        macs = _node_macs(model)
        found = []
        for value, tensor in named_constants(model).values():
            if not has_channels(value, tensor):
                continue
            perm = tuple(range(tensor.shape.rank()))
            own = sum(macs.pop(node, 0) for node in _reading(value, perm))
            found.append(_Constant(tuple(tensor.shape.numpy()), own, cuts.get(str(value.name), {})))
        products = [_product(node, macs.pop(node), groups) for node in list(macs) if node.op_type == "MatMul"]
        return cls(tuple(found), tuple(products), sum(macs.values()))

    def parameters(self, removed: Sequence[int]) -> int:
        """Return the number of parameters after `removed[i]` channels of group `i` are removed."""
        return sum(constant.size(removed) for constant in self.constants)

    def macs(self, removed: Sequence[int]) -> int:
        """Return the multiply-accumulates after `removed[i]` channels of group `i` are removed."""
        left = (
            constant.macs * constant.size(removed) / math.prod(constant.shape)
            for constant in (*self.constants, *self.products)
            if constant.macs
        )
        return round(sum(left)) + self.other_macs


def _product(node: ir.Node, macs: int, groups: Sequence[ChannelGroup]) -> _Constant:
    """A product of activations, as the outputs of the weight from which its second operand comes, if one is found."""
    producers = {each.name: (number, each) for number, group in enumerate(groups) for each in group.producers}
    value = node.inputs[1]
    while value is not None and (maker := value.producer()) is not None:
        name = next((source for source in map(_source_name, maker.inputs) if source in producers), None)
        if name is not None:
            number, each = producers[name]
            return _Constant((len(each.indices()) * each.repeat,), macs, {0: [(number, each.repeat)]})
        value = next((source for source in maker.inputs if source is not None and not is_constant(source)), None)
    return _Constant((1,), macs, {})


def _source_name(value: ir.Value | None) -> str | None:
    """The name of a constant, also where it is transposed or quantized."""
    while value is not None and constant_tensor(value) is None and value.producer() is not None:
        maker = value.producer()
        assert maker is not None
        if not is_quantizer(maker) and maker.op_type not in {"Transpose", "Identity"}:
            return None
        value = maker.inputs[0]
    return None if value is None or constant_tensor(value) is None else value.name


def _reading(value: ir.Value, perm: tuple[int, ...]) -> Iterator[ir.Node]:
    """Yield the nodes that read a constant, also where it is quantized."""
    for reader in readers(value, perm):
        if reader is None:
            continue
        yield reader.node
        if is_quantizer(reader.node) and reader.index == 0:
            yield from _reading(reader.node.outputs[0], reader.perm)


def _cuts(groups: Sequence[ChannelGroup]) -> dict[str, dict[int, list[tuple[int, int]]]]:
    cuts: dict[str, dict[int, list[tuple[int, int]]]] = {}
    for number, group in enumerate(groups):
        for each in {*group.producers, *group.carriers, *group.readers, *group.companions}:
            cuts.setdefault(each.name, {}).setdefault(each.axis, []).append((number, each.repeat))
    return cuts


def _node_macs(model: ir.Model) -> dict[ir.Node, int]:
    symbols = {
        str(dim.value) for value in _values(model.graph) for dim in value.shape or () if not isinstance(dim, int)
    }
    costs = model_cost(model, dict.fromkeys(symbols, 1)).nodes
    return {node: cost.macs or 0 for node, cost in zip(model.graph, costs, strict=True)}


def _values(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *(output for node in graph for output in node.outputs)]
