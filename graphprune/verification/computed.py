"""How precisely a graph computes each of its values, as far as operators and element types tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphprune.graph.nodes import nested_nodes

# From the finest to the coarsest: what has passed through one of these keeps its precision, whatever it is cast to.
_COARSE = {ir.DataType.FLOAT16: "float16", ir.DataType.BFLOAT16: "bfloat16"}
_ORDER = (None, *_COARSE.values())
_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}

# Implementations add to, or subtract from, a constant of about one, so what is far below its last bit is lost: ONNX
# Runtime's Sigmoid is 0.5 plus a quotient and gives 0 for -20, where another gives 2e-9.
_SATURATING = frozenset(("Sigmoid", "Erf", "Tanh", "Gelu", "Swish", "Mish", "LSTM", "GRU", "RNN"))


@dataclass(frozen=True)
class Computed:
    """How one value was computed.

    Attributes:
        coarsest: Name of the coarsest floating-point type that it passed through, if narrower than float32.
        saturates: Whether it depends on a function that loses what is small beside one.
    """

    coarsest: str | None = None
    saturates: bool = False

    def type_name(self, dtype: np.dtype[np.generic]) -> str:
        """Return the name of the type whose precision a value of `dtype` has."""
        return self.coarsest or dtype.name

    def floor(self, dtype: np.dtype[np.generic]) -> float:
        """Return the absolute error that says nothing, since it is below the last bit of one."""
        name = self.type_name(dtype)
        return (_EPSILON.get(name) or float(np.finfo(name).eps)) if self.saturates else 0.0


def computed_values(model: ir.Model) -> dict[ir.Value, Computed]:
    """Return how each value that depends on an input is computed; what does not is constant, and exact."""
    known = dict.fromkeys(model.graph.inputs, Computed())
    for node in model.graph:
        sources = [known[value] for value in nested_reads(node) if value in known]
        if sources:
            known |= {value: _after(model, node, value, sources) for value in node.outputs}
    return known


def computed_outputs(model: ir.Model | None) -> dict[str, Computed]:
    """Return how each output of the graph is computed, by name; nothing of a graph that is not known."""
    if model is None:
        return {}
    known = computed_values(model)
    return {value.name or "": known.get(value, Computed()) for value in model.graph.outputs}


def _after(model: ir.Model, node: ir.Node, value: ir.Value, sources: Iterable[Computed]) -> Computed:
    inner = list(inner_nodes(model, node))
    types = [_type_of(each) for each in (value, *(output for one in inner for output in one.outputs))]
    coarse = [_COARSE[dtype] for dtype in types if dtype in _COARSE]
    return Computed(
        max((*coarse, *(source.coarsest for source in sources)), key=_ORDER.index, default=None),
        any(source.saturates for source in sources) or any(one.op_type in _SATURATING for one in (node, *inner)),
    )


def _type_of(value: ir.Value) -> ir.DataType | None:
    """The type of a value: as inferred, or, where nothing was, as it is cast to."""
    node = value.producer()
    if value.dtype is not None or node is None or node.op_type != "Cast":
        return value.dtype
    return ir.DataType(node.attributes["to"].as_int())


def nested_reads(node: ir.Node) -> Iterator[ir.Value | None]:
    """Yield what a node reads, its subgraphs too."""
    yield from node.inputs
    for inner in nested_nodes(node):
        yield from inner.inputs


def inner_nodes(model: ir.Model, node: ir.Node) -> Iterator[ir.Node]:
    """Yield the nodes of the subgraphs of a node, or of the function that it calls."""
    yield from nested_nodes(node)
    function = model.functions.get(node.op_identifier())
    if function is not None:
        yield from function.all_nodes()
