"""Soft-mask calls: writing and reading their form, and refusing what was damaged since they were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.errors import RecipeError, UnsupportedModelError
from graphprune.graph.functions import DOMAIN, VERSION
from graphprune.graph.nodes import describe
from graphprune.masked.functions import NAMES
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM, Block, Pattern, Unstructured
from graphprune.masks.temperature import Temperature

SCALARS = ("budget", "ratio", "temperature")
"""The scalars of a mask, inputs 1 to 3 of a call; an initializer is called `<weight>_<scalar>`."""

_WIDE_TYPES = {
    ir.DataType.FLOAT16: ir.DataType.FLOAT,
    ir.DataType.BFLOAT16: ir.DataType.FLOAT,
    ir.DataType.FLOAT: ir.DataType.FLOAT,
    ir.DataType.DOUBLE: ir.DataType.DOUBLE,
}


@dataclass(frozen=True)
class MaskCall:
    """A node that masks a weight.

    Attributes:
        node: The call.
        weight: The constant that it masks, read by nothing else.
        pattern: How zeros will be placed.
        axes: Of the weight, as far as the pattern asks for them.
        budget: The share of zeros in the end, in [0, 1).
        ratio: How far the ramp is, in [0, 1].
        temperature: How soft the mask is.
    """

    node: ir.Node
    weight: ir.Value
    pattern: Pattern
    axes: WeightAxes
    budget: float
    ratio: float
    temperature: Temperature

    @property
    def name(self) -> str:
        """Of the weight."""
        return self.weight.name or ""

    @property
    def tensor(self) -> ir.TensorProtocol:
        """The weight itself."""
        tensor = constant_tensor(self.weight)
        assert tensor is not None  # was asked when the call was read
        return tensor

    @property
    def pruned(self) -> int:
        """The number of zeros in the end."""
        return self.pattern.pruned_count(self.tensor.shape.numpy(), self.axes, self.budget)


def wide_type(dtype: ir.DataType) -> ir.DataType:
    """Return the type in which the mask of a weight is computed, that of its temperature."""
    return _WIDE_TYPES[dtype]


def call_form(pattern: Pattern, axes: WeightAxes) -> tuple[str, dict[str, int]]:
    """Return the function that masks in `pattern`, and the attributes of a call of it."""
    if isinstance(pattern, NM):
        return "NMSoftMask", {"keep": pattern.keep, "of": pattern.of, "input_axis": axes.input}
    if isinstance(pattern, Block):
        sizes = {"rows": pattern.rows, "columns": pattern.columns}
        return "BlockSoftMask", {**sizes, "output_axis": axes.output, "input_axis": axes.input}
    return "UnstructuredSoftMask", {}


def find_defect(pattern: Pattern, axes: WeightAxes, shape: Sequence[int], budget: float) -> str | None:
    """Return why a weight of that shape cannot be masked so, or None."""
    if not axes_fit(axes, len(shape)):
        return f"axes {axes.output} and {axes.input}, expected two different ones of {len(shape)}"
    defect = pattern.defect(shape, axes) or pattern.uneven(shape, axes)
    if defect is not None:
        return f"{defect}, for pattern '{pattern}'"
    size, pruned = math.prod(shape), pattern.pruned_count(shape, axes, budget)
    if pruned == size:
        return f"{size} elements, of which all would go at budget {budget:g}"
    if isinstance(pattern, NM) and round(budget * size) != pruned:
        return f"budget {budget:g}, but pattern '{pattern}' makes {pruned} zeros of {size}"
    return None


def axes_fit(axes: WeightAxes, rank: int) -> bool:
    """Return whether both axes are there and differ."""
    return {axes.output, axes.input} <= set(range(rank)) and axes.output != axes.input


def is_mask_call(node: ir.Node) -> bool:
    """Return whether `node` calls one of the soft-mask functions."""
    return node.domain == DOMAIN and node.op_type in NAMES


def mask_calls(model: ir.Model) -> list[MaskCall]:
    """Read every soft-mask call.

    Raises:
        UnsupportedModelError: As `verify_mask_calls`.
    """
    nodes = [node for node in model.graph.all_nodes() if is_mask_call(node)]
    version = model.graph.opset_imports.get(DOMAIN, VERSION)
    if nodes and version != VERSION:
        message = f"mask-version: soft masks are of version {version}, this graphprune reads {VERSION}"
        raise UnsupportedModelError(message, code="GP363")
    return [read_call(node) for node in nodes]


def verify_mask_calls(model: ir.Model) -> None:
    """Check every soft-mask call.

    Raises:
        UnsupportedModelError: The calls are of another version (GP363), an input is no constant of its type (GP360), a
            scalar is out of range (GP361), the call does not fit its weight (GP362), or the weight is read past its
            mask (GP364).
    """
    mask_calls(model)


def read_call(node: ir.Node) -> MaskCall:
    """Read one soft-mask call.

    Raises:
        UnsupportedModelError: As `verify_mask_calls`, except for the version.
    """
    tensor = _constant(node, 0, "weight", set(_WIDE_TYPES))
    wide = wide_type(tensor.dtype)
    budget, ratio, tau = (
        _scalar(node, index, dtype) for index, dtype in ((1, ir.DataType.DOUBLE), (2, ir.DataType.DOUBLE), (3, wide))
    )
    relative = node.attributes.get_int("relative", 0)
    pattern, axes = _form(node)
    shape = tensor.shape.numpy()
    defect = find_defect(pattern, axes, shape, budget)
    if defect is not None:
        raise _error("mask-form", node, f"its weight of shape {list(shape)} has {defect}", "GP362")
    weight = node.inputs[0]
    assert weight is not None  # it is constant
    _verify_reads(node, weight)
    return MaskCall(node, weight, pattern, axes, budget, ratio, Temperature(tau, relative=bool(relative)))


def _form(node: ir.Node) -> tuple[Pattern, WeightAxes]:
    numbers = {name: attribute.as_int() for name, attribute in node.attributes.items()}
    try:
        if node.op_type == "NMSoftMask":
            axis = numbers["input_axis"]
            return NM(numbers["keep"], numbers["of"]), WeightAxes(int(axis == 0), axis)
        if node.op_type == "BlockSoftMask":
            axes = WeightAxes(numbers["output_axis"], numbers["input_axis"])
            return Block(numbers["rows"], numbers["columns"]), axes
    except KeyError as error:
        raise _error("mask-form", node, f"it has no attribute {error}", "GP362") from None
    except RecipeError as error:
        raise _error("mask-form", node, error.message, "GP362") from None
    return Unstructured(), WeightAxes()


def _scalar(node: ir.Node, index: int, dtype: ir.DataType) -> float:
    name = SCALARS[index - 1]
    tensor = _constant(node, index, name, {dtype})
    if tensor.shape.rank() != 0:
        shape = list(tensor.shape.numpy())
        raise _error("mask-constants", node, f"its {name} has shape {shape}, expected a scalar", "GP360")
    value = float(tensor.numpy())
    fits, range_ = {
        "budget": (0 <= value < 1, "[0, 1)"),
        "ratio": (0 <= value <= 1, "[0, 1]"),
        "temperature": (0 < value < math.inf, "a positive number"),
    }[name]
    if not fits:
        raise _error("mask-range", node, f"its {name} is {value:g}, expected {range_}", "GP361")
    return value


def _constant(node: ir.Node, index: int, name: str, dtypes: set[ir.DataType]) -> ir.TensorProtocol:
    tensor = constant_tensor(node.inputs[index] if index < len(node.inputs) else None)
    if tensor is None:
        raise _error("mask-constants", node, f"its {name} is not a constant", "GP360")
    if tensor.dtype not in dtypes:
        expected = " or ".join(dtype.name.lower() for dtype in sorted(dtypes))
        reason = f"its {name} holds {tensor.dtype.name.lower()}, expected {expected}"
        raise _error("mask-constants", node, reason, "GP360")
    return tensor


def _verify_reads(node: ir.Node, weight: ir.Value) -> None:
    """Hardening writes zeros into the weight and removes the mask: nothing else may read either."""
    other = next((reader for reader, index in weight.uses() if (reader, index) != (node, 0)), None)
    if other is not None:
        raise _error("mask-reads", node, f"{describe(other)} reads the weight '{weight.name}' past its mask", "GP364")
    if weight.is_graph_output() or node.outputs[0].is_graph_output():
        raise _error("mask-reads", node, f"the weight '{weight.name}' or its masked value is a graph output", "GP364")


def _error(invariant: str, node: ir.Node, reason: str, code: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{invariant}: {describe(node)}: {reason}", code=code)
