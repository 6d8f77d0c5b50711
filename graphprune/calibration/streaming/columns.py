"""What the rows of a weight are multiplied by: the input of a product as a matrix, a row for each output position."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.convolution import convolution_attributes
from graphprune.analysis.products import is_convolution
from graphprune.analysis.weights import LinearWeight, WeightUse

Array = npt.NDArray[Any]

_Refusal = tuple[str, str]  # code and reason


def why_no_columns(weight: LinearWeight, graph: ir.Graph) -> _Refusal | None:
    """Return a code and the reason why samples do not show what a weight is multiplied by; None where they do."""
    use = weight.uses[0]
    if len(weight.uses) > 1:
        return "GP314", f"is shared by {len(weight.uses)} nodes, of which each multiplies something else"
    if use.node.graph is not graph:
        return "GP315", "is multiplied in a subgraph, which samples pass at once"
    if use.is_recurrent or use.is_transposed:
        return "GP316", f"is read by {use.node.op_type}, whose inputs are not looked at"
    if is_convolution(use.node) and convolution_attributes(use.node, _kernel(weight)) is None:
        return "GP317", "is of a convolution whose padding is not known"
    if list(use.perm[2:]) != sorted(use.perm[2:]):
        return "GP317", "is of a convolution that sees the axes of its kernel in another order"
    return None


def multiplied(weight: LinearWeight) -> ir.Value:
    """Return the value that a weight is multiplied by."""
    use = weight.uses[0]
    value = use.node.inputs[0 if is_convolution(use.node) else 1 - use.index]
    assert value is not None, "a product has two operands"
    return value


def how_multiplied(weight: LinearWeight) -> Hashable:
    """Return what, with the value, says what `columns` makes of it: weights of which both are equal see the same."""
    use = weight.uses[0]
    if is_convolution(use.node):
        return tuple(_kernel(weight)), convolution_attributes(use.node, _kernel(weight))
    return _is_turned(use)


def columns(weight: LinearWeight, array: Array) -> list[Array]:
    """Return `array`, what a weight is multiplied by, as [rows, positions * inputs], for each of its groups.

    The order of positions and inputs is that of `WeightAxes.rows`; padding is zero.
    """
    use = weight.uses[0]
    if is_convolution(use.node):
        return _windows(weight, array)
    turned = array.swapaxes(-1, -2) if _is_turned(use) and array.ndim > 1 else array
    return [turned.reshape(-1, turned.shape[-1])]


def _is_turned(use: WeightUse) -> bool:
    """Whether inputs lie along the last axis but one of the other operand."""
    other = 1 - use.index
    transposed = use.node.attributes.get_int("transB" if other else "transA", 0) == 1
    return transposed != (other == 1)


def _kernel(weight: LinearWeight) -> Sequence[int]:
    return weight.uses[0].operand_shape(weight.shape)[2:]


def _windows(weight: LinearWeight, array: Array) -> list[Array]:
    kernel = _kernel(weight)
    how = convolution_attributes(weight.uses[0].node, kernel)
    assert how is not None, "it was refused"
    axes = len(kernel)
    sides = zip(how.pads[:axes], how.pads[axes:], strict=True)
    padded = np.pad(array, ((0, 0), (0, 0), *sides))
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, how.dilations, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, tuple(range(2, 2 + axes)))
    steps: list[slice] = [slice(None, None, step) for step in (*how.strides, *how.dilations)]
    taken = views[:, :, *steps]
    samples, channels = array.shape[:2]
    inputs = channels // how.group
    grouped = taken.reshape(samples, how.group, inputs, *taken.shape[2:])
    ordered = np.moveaxis(np.moveaxis(grouped, 1, 0), 2, -1)
    return list(ordered.reshape(how.group, -1, math.prod(kernel) * inputs))
