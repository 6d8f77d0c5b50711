"""Nodes that round activations to integers: at a tie the last bit of a sum decides between two levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.verification.computed import Computed, computed_values, inner_nodes

_SCALE = {
    "QuantizeLinear": 1,
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"), 6),
    **dict.fromkeys(("QLinearAveragePool", "QLinearGlobalAveragePool"), 3),
    **dict.fromkeys(("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"), 3),
    "QLinearConcat": 0,
    "QLinearWhere": 7,
    "QGemm": 7,
}
"""Which input is the scale of the result; its zero point is the next one."""

_DYNAMIC = frozenset(("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"))
"""What takes the scale from its first input, which it rounds; all but the first keep the integers for themselves."""

_DOMAINS = frozenset(("", "com.microsoft"))
_LEVELS = frozenset((ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16))
_FLOATS = frozenset((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, None))


@dataclass(frozen=True)
class Precision:
    """What another order of sums does to a value of some 256 levels before it is rounded.

    Attributes:
        noise: What it may differ by, in levels: a sum of 256 rounding errors of half a last bit of its largest value,
            of random signs, in float32; in a narrower type half a last bit of its own.
        window: How far from a tie, in levels, an element may lie that is rounded the other way.
    """

    noise: float = 2.0**-12
    window: float = 2.0**-6

    @property
    def near(self) -> float:
        """How near to a tie, in levels, the elements lie that are as many as may be rounded the other way."""
        return 4 * self.noise


_PRECISIONS = {"float16": Precision(2.0**-3, 0.5), "bfloat16": Precision(1.0, 1.0)}
_SINGLE = Precision()


def precision(computed: Computed | None) -> Precision:
    """Return the precision of a value that was computed so."""
    return _PRECISIONS.get((computed.coarsest if computed else None) or "", _SINGLE)


def scale_place(node: ir.Node) -> int | None:
    """Return which input is the scale that a node rounds by; None where it has none, or finds it itself."""
    place = _SCALE.get(node.op_type) if node.domain in _DOMAINS else None
    return None if place is None or input_at(node, place) is None else place


def scale_of(node: ir.Node) -> ir.Value | None:
    """Return that scale."""
    place = scale_place(node)
    return None if place is None else node.inputs[place]


def input_at(node: ir.Node, place: int) -> ir.Value | None:
    """Return an input; None where it is left out."""
    return node.inputs[place] if place < len(node.inputs) else None


def is_dynamic(node: ir.Node) -> bool:
    """Whether a node rounds its first input, by a scale that it finds itself."""
    return node.domain in _DOMAINS and node.op_type in _DYNAMIC


def reads_floats(node: ir.Node) -> bool:
    """Whether what a node rounds is its first input, of floats."""
    first = node.inputs[0] if node.inputs else None
    rounds_it = is_dynamic(node) or (node.op_type == "QuantizeLinear" and scale_of(node) is not None)
    return rounds_it and first is not None and first.dtype in _FLOATS


def roundings(model: ir.Model) -> list[ir.Node]:
    """Return the nodes of the main graph that round what depends on an input, themselves or in a graph inside."""
    known = computed_values(model)
    return [
        node
        for node in model.graph
        if any(value in known for value in node.outputs)
        and any(scale_of(each) is not None or is_dynamic(each) for each in (node, *inner_nodes(model, node)))
    ]


def integers_of(nodes: Iterable[ir.Node]) -> Iterator[ir.Value]:
    """Yield the values of 8 or 16 bits that these nodes round to and others can read."""
    for node in nodes:
        if _gives_integers(node) and node.outputs[0].name and element_type(node.outputs[0]) in _LEVELS:
            yield node.outputs[0]


def _gives_integers(node: ir.Node) -> bool:
    return scale_of(node) is not None or (is_dynamic(node) and node.op_type == "DynamicQuantizeLinear")


def element_type(value: ir.Value) -> ir.DataType | None:
    """Return the type of a value: as inferred, or, of what is rounded, as its zero point says, else unsigned bytes."""
    node = value.producer()
    place = None if node is None else scale_place(node)
    if value.dtype is not None or node is None or value.index() or not _gives_integers(node):
        return value.dtype
    zero_point = None if place is None else input_at(node, place + 1)
    return ir.DataType.UINT8 if zero_point is None else zero_point.dtype
