"""Contracts of convolutions, packed ones too, of poolings and of what undoes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from graphprune.packed.calls import extra_index
from graphprune.packed.forms import CALLS
from graphprune.passes.contracts.rules import (
    LARGEST,
    Count,
    Extents,
    Operands,
    Rule,
    Wanted,
    are_positive,
    attribute,
    broadcasts_to,
    equal,
    extent,
    has_one_element,
    has_one_or,
    is_shape,
    like,
    product,
    vector,
)

_CHANNELS = "input has {} channels, expected {} as the weight takes"
_GROUPS = attribute("group", 1)


def _kernel(weight: int) -> Rule:
    """`kernel_shape`, where it is given, is that of the weight, whose rank is that of the input."""

    def rule(operands: Operands) -> str | None:
        shape, given = operands.shape(weight), operands.integers("kernel_shape")
        if shape is None:
            return None
        data = operands.shape(0)
        if data is not None and len(data) != len(shape):
            return f"{operands.name(weight)} has rank {len(shape)}, expected {len(data)} as the input has"
        differs = given and any(None not in pair and pair[0] != pair[1] for pair in zip(given, shape[2:], strict=False))
        return f"kernel_shape is {given}, expected that of {operands.name(weight)}" if differs else None

    return rule


def _divides(what: str, count: Count) -> Rule:
    """The groups share out some channels evenly."""

    def rule(operands: Operands) -> str | None:
        groups, have = operands.integer("group", 1), count(operands)
        uneven = groups < 1 or (have is not None and have % groups != 0)
        return f"{have} {what} channels are not divisible by {groups} groups" if uneven else None

    return rule


def _holds_window(kernel: Wanted) -> Rule:
    """The padded input holds the window once at least: ONNX Runtime makes no empty result of a convolution."""

    def rule(operands: Operands) -> str | None:
        sizes, shape = kernel(operands), operands.shape(0)
        if sizes is None or shape is None or operands.node.attributes.get_string("auto_pad", "").startswith("SAME"):
            return None
        rank = len(sizes)
        dilations, pads = operands.integers("dilations") or [1] * rank, operands.integers("pads") or [0] * 2 * rank
        both = [sum(pair) for pair in zip(pads[:rank], pads[rank:], strict=False)]
        for i, (n, size, pad, step) in enumerate(zip(shape[2:], sizes, both, dilations, strict=False)):
            if n is not None and size is not None and n + pad < step * (size - 1) + 1:
                reach = step * (size - 1) + 1
                return f"its padded input has extent {n + pad} at axis {i + 2}, expected at least the window's {reach}"
        return None

    return rule


def _is_not_empty(operands: Operands) -> str | None:
    empty = [axis for axis, n in enumerate(operands.output() or ()) if axis > 1 and n is not None and n < 1]
    return f"its result has extent 0 at axis {empty[0]}, expected at least 1" if empty else None


def _convolution(weight: int = 1) -> tuple[Rule, ...]:
    takes = product(extent(weight, 1), _GROUPS)
    channels = equal(_CHANNELS, extent(0, 1), takes)
    window = _holds_window(lambda operands: (operands.shape(weight) or (None, None))[2:])
    return channels, _divides("output", extent(weight, 0)), _kernel(weight), window, _is_not_empty


_TRANSPOSED = (
    equal(_CHANNELS, extent(0, 1), extent(1, 0)),
    _divides("input", extent(1, 0)),
    _kernel(1),
    is_shape(2, vector(product(extent(1, 1), _GROUPS))),
    _is_not_empty,
)


def packed_contract(node: ir.Node) -> tuple[Rule, ...]:
    """Those of the operator that a packed call stands for, of which `weight_shape` tells the weight."""
    shape, after = node.attributes.get_ints("weight_shape", []), extra_index(node)
    if not shape:
        return ()
    match CALLS[node.op_type][1]:
        case "Conv":
            takes = shape[1] * node.attributes.get_int("group", 1)
            channels = equal(_CHANNELS, extent(0, 1), lambda _: takes)
            return channels, is_shape(after, lambda _: shape[:1]), _holds_window(lambda _: shape[2:]), _is_not_empty
        case "Gemm":
            return (broadcasts_to(after, lambda operands: operands.output()),)
    return ()


def _columns(operands: Operands) -> Extents | None:
    """Col2Im's input: a row for each element of a block, a column for each place of the block in the image."""
    image, block = operands.known(1), operands.known(2)
    batch, rows = operands.extent(0, 0), operands.extent(0, 1)
    if image is None or block is None or len(image) != len(block):
        return None
    rank, size = len(image), math.prod(block)
    strides = operands.integers("strides") or [1] * rank
    dilations, pads = operands.integers("dilations") or [1] * rank, operands.integers("pads") or [0] * 2 * rank
    reach = [pads[i] + pads[i + rank] - dilations[i] * (block[i] - 1) - 1 for i in range(rank)]
    places = [(n + reach[i]) // strides[i] + 1 for i, n in enumerate(image)]
    return [batch, rows if rows is not None and size and rows % size == 0 else size, math.prod(places)]


def _unpooled(operands: Operands) -> str | None:
    """MaxUnpool: the indices are places in what was pooled, which `output_shape` may only enlarge."""
    shape, kernel = operands.shape(0), operands.integers("kernel_shape")
    result: Extents | None = operands.known(2) or operands.output()
    if shape is None or result is None:
        return None
    for given in (result, operands.output()):
        if given is not None and len(given) != len(shape):
            return f"its output has {len(given)} axes, expected {len(shape)}"
    declared = operands.output() or result
    if any(a != b for a, b in zip(declared, result, strict=True) if a is not None):
        return f"its output is {declared}, expected {list(result)}"
    rank = len(kernel)
    strides, pads = operands.integers("strides") or [1] * rank, operands.integers("pads") or [0] * 2 * rank
    for i, (n, large) in enumerate(zip(shape[2:], result[2:], strict=True)):
        if n is not None and large is not None:
            pooled = (n - 1) * strides[i] - pads[i] - pads[i + rank] + kernel[i]
            if large < pooled:
                return f"its output has extent {large} at axis {i + 2}, expected at least {pooled}"
    return None


def _pads(operands: Operands) -> str | None:
    large = [pad for pad in operands.integers("pads") if pad > LARGEST]
    return f"pads has {large[0]}, expected at most {LARGEST}" if large else None


def _counts_padding(operands: Operands) -> str | None:
    """Operator sets divide a mean differently where rounding towards zero makes a window of an input too short."""
    counts, rounds_up = operands.integer("count_include_pad", 0), operands.integer("ceil_mode", 0)
    if not counts or rounds_up or 0 in (operands.output() or ()):
        return None
    return _holds_window(lambda pool: pool.integers("kernel_shape"))(operands)


def _is_norm(operands: Operands) -> str | None:
    order = operands.integer("p", 2)
    return f"p is {order}, expected at least 1" if order < 1 else None


_WINDOW = (are_positive("kernel_shape", "strides", "dilations"), _pads)

WINDOWS: dict[str, Sequence[Rule]] = {
    "Conv": (*_convolution(), *_WINDOW, is_shape(2, vector(extent(1, 0)))),
    "ConvTranspose": (*_TRANSPOSED, *_WINDOW),
    "ConvInteger": (*_convolution(), *_WINDOW, has_one_element(2), has_one_or(3, vector(extent(1, 0)))),
    "QLinearConv": (
        *_convolution(3),
        *_WINDOW,
        has_one_element(1, 2, 6, 7),
        *(has_one_or(index, vector(extent(3, 0))) for index in (4, 5)),
        is_shape(8, vector(extent(3, 0))),
    ),
    "MaxPool": _WINDOW,
    "LpPool": (*_WINDOW, _is_norm),
    "GlobalLpPool": (_is_norm,),
    "AveragePool": (*_WINDOW, _counts_padding),
    "MaxUnpool": (*_WINDOW, is_shape(1, like(0)), _unpooled),
    "Col2Im": (are_positive("strides", "dilations"), is_shape(0, _columns)),
}
"""By operator of ONNX."""
