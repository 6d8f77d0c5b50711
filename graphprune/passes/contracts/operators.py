"""What operators ask of the extents of their operands and ONNX's shape inference does not compare.

Each entry is from the text of the operator's specification. A kernel takes as many elements of an operand as the others
say there are, so what breaks a rule would be read or written beyond its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from graphprune.analysis.resampling import CROP
from graphprune.graph.einsum import einsum_terms, is_equation
from graphprune.packed.calls import is_packed_call
from graphprune.passes.contracts.indexing import INDEXING
from graphprune.passes.contracts.rules import (
    Count,
    Extent,
    Extents,
    Operands,
    Rule,
    Wanted,
    along,
    broadcasts_to,
    broken_rule,
    extent,
    has_one_element,
    has_one_or,
    is_axis,
    is_shape,
    like,
    product,
    text,
    vector,
)
from graphprune.passes.contracts.windows import WINDOWS, packed_contract


def broken_contract(node: ir.Node) -> str | None:
    """Return in what the operands of `node` break the contract of its operator, with the node's name, or None."""
    if (complaint := broken_rule(node, (_extents_of_results,))) is not None:
        return complaint
    if is_packed_call(node):
        return broken_rule(node, packed_contract(node))
    return broken_rule(node, CONTRACTS.get(node.op_type, ())) if node.domain == "" else None


def _extents_of_results(operands: Operands) -> str | None:
    """A window that is larger than its input has places below none."""
    for index, value in enumerate(operands.node.outputs):
        low = [n for n in operands.output(index) or () if n is not None and n < 0]
        if low:
            return f"output '{value.name}' has an extent of {low[0]}, expected at least 0"
    return None


def _blocks(operands: Operands) -> Extents | None:
    """One scale for `block_size` elements along `axis`."""
    shape, size = operands.shape(0), operands.integer("block_size", 0)
    if shape is None or size < 1:
        return shape
    axis = operands.integer("axis", 1) % max(len(shape), 1)
    return [n if a != axis or n is None else -(-n // size) for a, n in enumerate(shape)]


def _scale(operands: Operands) -> str | None:
    """One scale, one an index of `axis`, or one a block; blocks written out broadcast."""
    shape, size = operands.shape(1), operands.integer("block_size", 0)
    if size < 0:
        return f"block_size is {size}, expected at least 0"
    has_axis = size > 0 or (shape is not None and len(shape) == 1 < len(operands.shape(0) or ()) and shape[0] != 1)
    if has_axis and (complaint := is_axis("axis", 1)(operands)) is not None:
        return complaint
    if has_axis and not size:
        return is_shape(1, vector(along(0, "axis", 1)))(operands)
    if size:
        return is_shape(1, _blocks)(operands)
    return broadcasts_to(1, like(0))(operands)


def _zero_point(operands: Operands) -> str | None:
    """As many as there are scales."""
    is_single = has_one_element(1)(operands) is None
    return has_one_or(2, like(1))(operands) if is_single else is_shape(2, like(1))(operands)


def _one_a_column(index: int) -> Rule:
    """One element, one a column of QLinearMatMul's second operand, or such for each matrix of a stack."""
    is_fit = has_one_or(index, vector(extent(3, -1)))
    return lambda operands: None if len(operands.shape(index) or ()) > 1 else is_fit(operands)


def _gates(count: int) -> tuple[Rule, ...]:
    """RNN, GRU, LSTM: weights of `count` gates, biases, lengths, and states of every direction."""

    def hidden(operands: Operands) -> Extent:
        return operands.extent(2, 2)

    def directions(operands: Operands) -> Extent:
        return 2 if operands.node.attributes.get_string("direction", "forward") == "bidirectional" else 1

    def batch(operands: Operands) -> Extent:
        return operands.extent(0, 0 if operands.integer("layout", 0) == 1 else 1)

    def state(operands: Operands) -> Extents:
        both = [directions(operands), batch(operands)]
        return [*(reversed(both) if operands.integer("layout", 0) == 1 else both), hidden(operands)]

    def each(*counts: Count) -> Wanted:
        return lambda operands: [directions(operands), *(count(operands) for count in counts)]

    def times(factor: int) -> Count:
        return product(lambda _: factor, hidden)

    return (
        is_shape(1, each(times(count), extent(0, 2))),
        is_shape(2, each(times(count), hidden)),
        is_shape(3, each(times(2 * count))),
        is_shape(4, vector(batch)),
        is_shape(5, state),
        is_shape(6, state),
        is_shape(7, each(times(3))),
    )


def _mask(operands: Operands) -> str | None:
    """Attention's mask broadcasts to a score for each query and key; of fewer keys, the last are hidden."""
    queries = operands.extent(0, -2)
    keys, past = operands.extent(1, -2), operands.extent(4, -2) if operands.value(4) is not None else 0
    total = None if keys is None or past is None else keys + past
    wide = operands.extent(3, -1)
    if None not in (wide, total) and wide > total:  # type: ignore[operator]
        return f"{operands.name(3)} has {wide} keys, expected at most {total}"
    heads = operands.extent(0, 1) if len(operands.shape(0) or ()) == 4 else operands.integer("q_num_heads", 1)  # noqa: PLR2004
    return broadcasts_to(3, lambda _: [operands.extent(0, 0), heads, queries, wide])(operands)


def _letters(operands: Operands) -> str | None:
    """Einsum: a letter stands for one extent, or for 1."""
    shapes = [operands.shape(index) for index in range(len(operands.node.inputs))]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    equation = operands.node.attributes.get_string("equation", "")
    if not is_equation(equation):
        return f"'{equation}' is no equation"
    found: dict[str, int] = {}
    for term, shape in zip(einsum_terms(equation, [len(each) for each in known])[0], known, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if n not in (None, 1) and found.setdefault(letter, n) != n:
                return f"'{letter}' of '{equation}' has extents {found[letter]} and {n}"
    return None


def _block_size(*axes: int) -> Rule:
    """The block divides these extents; of one axis, its square does."""

    def rule(operands: Operands) -> str | None:
        size = operands.integer("blocksize", 1) ** (2 if len(axes) == 1 else 1)
        uneven = [n for axis in axes if (n := operands.extent(0, axis)) is not None and n % size]
        return f"an extent of {uneven[0]} is not divisible by {size}" if uneven else None

    return rule


def _same_count(operands: Operands) -> str | None:
    """Reshape keeps the number of elements, which onnx does not compare, as of a model exported for another batch."""
    old, new = operands.shape(0), operands.output()
    counts = [None if shape is None or None in shape else math.prod(n or 0 for n in shape) for shape in (old, new)]
    return f"gives {text(new)} to {text(old)}" if None not in counts and counts[0] != counts[1] else None


def _positive_size(operands: Operands) -> str | None:
    size = operands.integer("size", 1)
    return f"size is {size}, expected at least 1" if size < 1 else None


def _region(operands: Operands) -> str | None:
    """Resize to a region: a start and an end for each axis."""
    mode = operands.node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    wanted = len(operands.integers("axes") or operands.shape(0) or ())
    given = operands.extent(1, 0)
    if mode != CROP or given is None or not wanted or given == 2 * wanted:
        return None
    return f"{operands.name(1)} has {given} elements, expected {2 * wanted}"


CONTRACTS: dict[str, Sequence[Rule]] = {
    **WINDOWS,
    **INDEXING,
    "QLinearMatMul": (_one_a_column(4), _one_a_column(5)),
    "MatMulInteger": (
        lambda o: None if len(o.shape(2) or ()) > 1 else has_one_or(2, vector(extent(0, -2)))(o),
        lambda o: None if len(o.shape(3) or ()) > 1 else has_one_or(3, vector(extent(1, -1)))(o),
    ),
    "Gemm": (broadcasts_to(2, lambda operands: operands.output()),),
    "InstanceNormalization": tuple(is_shape(index, vector(extent(0, 1))) for index in (1, 2)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), (is_axis("axis", -1),)),
    "LayerNormalization": (is_axis("axis", -1), *(broadcasts_to(index, like(0)) for index in (1, 2))),
    "RMSNormalization": (
        is_axis("axis", -1),
        broadcasts_to(1, like(0)),
    ),
    "PRelu": (broadcasts_to(1, like(0)),),
    "Clip": (has_one_element(1, 2),),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), (_scale, _zero_point)),
    "Attention": (_mask,),
    "RNN": _gates(1),
    "GRU": _gates(3),
    "LSTM": _gates(4),
    "DepthToSpace": (_block_size(1),),
    "SpaceToDepth": (_block_size(2, 3),),
    "Einsum": (_letters,),
    "LRN": (_positive_size,),
    "Reshape": (_same_count,),
    "Resize": (_region,),
    "Trilu": (has_one_element(1),),
}
"""By operator of ONNX; those that are not here take whatever their shape inference takes."""
