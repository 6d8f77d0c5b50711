"""Integers of 8 bits for weights and activations: QuantizeLinear and DequantizeLinear around what gains by them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphprune.analysis.constants import constant_tensor
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.passes.base import Equivalence, Pass, PassOutcome
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.product_bias import output_channels, shift_bias
from graphprune.passes.rewriting import drop_unused, new_initializer
from graphprune.passes.shape_inference import infer_shapes
from graphprune.stages.stage import Stage

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_MATRICES = frozenset({"Gemm", "MatMul"})
"""Whose sums stay floats where floats are added to them: a residual has a few elements that are large."""

PRODUCTS = _CONVOLUTIONS | _MATRICES
_CLIPS = frozenset({"Relu", "Clip"})
"""Which the bounds of the integers do by themselves."""

_ON_BYTES = frozenset({"Add", "AveragePool", "Concat", "GlobalAveragePool", "MaxPool", "Resize"})
"""What feature maps go through between convolutions without ever being floats."""

_ACTIVATIONS = _CLIPS | {"HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Sigmoid"}
"""What feature maps stay feature maps in."""

ON_INTEGERS = "integers"
"""The rule of nodes that compute with them."""

Range = tuple[str, float, float]
"""The name of a value, and the least and the largest element that it has."""

Correction = tuple[str, tuple[float, ...]]
"""The name of a product, and what is added to each of its output channels."""


@dataclass(frozen=True)
class Quantize(Pass):
    """Let products by constant weights, and what lies between convolutions, compute with integers of 8 bits.

    Weights are signed, symmetric, of a scale for each output, so zeros stay zero; activations are unsigned, of the
    range that is given. ONNX Runtime's quantizer writes the nodes. What follows a convolution and clips it (Relu) goes
    into the bounds of the integers. Products of matrices (Gemm, MatMul) read integers and make floats.

    Run: quantize{ranges=[["x",0,255],["h",-9,9],["y",0,255]] corrections=[["product",[2,4]]]}

    Before::

        g (float[1,2,1,1] x) => (float[1,2,1,1] y) <float[2,2,1,1] w = {127, 0, 0, -254}, float[2] b = {1, 2}> {
            [product] h = Conv (x, w, b)
            [clip] y = Relu (h)
        }

    After::

        g (float[1,2,1,1] x) => (float[1,2,1,1] y) <
            uint8 x_zero_point = {0}, float x_scale = {1}, int8[2] w_zero_point = {0, 0}, float[2] w_scale = {1, 2},
            int8[2,2,1,1] w_quantized = {127, 0, 0, -127}, uint8 y_zero_point = {0}, float y_scale = {1},
            int32[2] b_quantized = {3, 3}, float[2] b_quantized_scale = {1, 2},
            int32[2] b_quantized_zero_point = {0, 0}
        > {
            [x_QuantizeLinear] x_QuantizeLinear_Output = QuantizeLinear (x, x_scale, x_zero_point)
            [x_DequantizeLinear] x_DequantizeLinear_Output =
                DequantizeLinear (x_QuantizeLinear_Output, x_scale, x_zero_point)
            [w_DequantizeLinear] w_DequantizeLinear_Output =
                DequantizeLinear <axis: int = 0> (w_quantized, w_scale, w_zero_point)
            [b_DequantizeLinear] b =
                DequantizeLinear <axis: int = 0> (b_quantized, b_quantized_scale, b_quantized_zero_point)
            [product] y_QuantizeLinear_Input = Conv (x_DequantizeLinear_Output, w_DequantizeLinear_Output, b)
            [y_QuantizeLinear] y_QuantizeLinear_Output = QuantizeLinear (y_QuantizeLinear_Input, y_scale, y_zero_point)
            [y_DequantizeLinear] y = DequantizeLinear (y_QuantizeLinear_Output, y_scale, y_zero_point)
        }

    Refuses: GP392 it is to stay as it is, GP393 a value has no range, or one of a single number, GP394 the weight is
        no float32.
    Raises: GP395 a range is no range, GP396 no node has the name of one that is to stay or is corrected, GP397
        corrections of a node are not one finite number for each of its output channels.

    Attributes:
        ranges: Names of values, and the least and the largest element of each; see `graphprune.calibration`.
        keep: Names of nodes that stay as they are.
        corrections: What is added to the bias of products that do not, as their weights lose it by rounding; a MatMul
            takes it where a constant is added to it.
    """

    name: ClassVar[str] = "quantize"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    equivalence: ClassVar[Equivalence] = Equivalence.LOSSY
    ranges: tuple[Range, ...]
    keep: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()

    def apply(self, model: ir.Model) -> PassOutcome:
        """Choose the nodes, and have the quantizer rewrite them.

        Raises:
            InputError: GP395, GP396, GP397.
        """
        infer_shapes(model)
        ranges = dict(self._checked_ranges())
        self._check_names({str(node.name) for node in model.graph})
        reasons = {node: self._why_not(node, ranges) for node in _sites(model.graph)}
        chosen = [node for node, skip in reasons.items() if skip is None]
        chosen += _clips_behind([node for node in chosen if node.op_type not in _MATRICES], ranges)
        rewrites: tuple[Rewrite, ...] = ()
        if chosen:
            name_apart(model.graph)
            for node in chosen:
                _turn_weight(model.graph, node)
            rewrites = tuple(Rewrite(ON_INTEGERS, str(node.name), f"{node.op_type} on 8 bits") for node in chosen)
            rewrites += tuple(self._correct(model, chosen))
            _insert(model, ranges, [str(node.name) for node in chosen])
        return PassOutcome(rewrites, tuple(skip for skip in reasons.values() if skip is not None))

    def _checked_ranges(self) -> Iterator[tuple[str, tuple[float, float]]]:
        for name, low, high in self.ranges:
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise InputError(f"{self.name}: '{name}' has the range {low} to {high}", code="GP395")
            yield name, (min(low, 0.0), max(high, 0.0))

    def _check_names(self, known: set[str]) -> None:
        wanted = [(name, "could stay as it is") for name in self.keep]
        wanted += [(name, "could be corrected") for name, _ in self.corrections]
        for name, what in wanted:
            if name not in known:
                raise InputError(f"{self.name}: no node is named '{name}' that {what}", code="GP396")

    def _correct(self, model: ir.Model, chosen: Iterable[ir.Node]) -> Iterator[Rewrite]:
        """Shift the biases of these nodes where that is asked for and can be."""
        names, corrections = FreshNames(model), dict(self.corrections)
        for node in chosen:
            if str(node.name) not in corrections:
                continue
            amounts, channels = np.array(corrections[str(node.name)]), output_channels(node)
            if amounts.shape != (channels,) or not np.isfinite(amounts).all():
                message = f"{self.name}: '{node.name}' has {amounts.size} corrections, expected {channels} finite ones"
                raise InputError(message, code="GP397")
            if shift_bias(node, amounts, names):
                yield Rewrite("correct-bias", str(node.name), f"{channels} channels shifted")

    def _why_not(self, node: ir.Node, ranges: Mapping[str, tuple[float, float]]) -> Skip | None:
        if node.name in self.keep:
            return Skip("GP392", _label(node), "stays as it is, as asked for")
        if node.op_type in PRODUCTS and (weight := _weight(node)) is not None and weight.dtype != ir.DataType.FLOAT:
            return Skip("GP394", _label(node), f"its weight is of {weight.dtype}, expected {ir.DataType.FLOAT}")
        for value in _activations(node):
            low, high = ranges.get(str(value.name), (0.0, 0.0))
            if low == high:
                known = "never varies" if str(value.name) in ranges else "has no range"
                return Skip("GP393", _label(node), f"'{value.name}' {known}")
        return None


def _label(node: ir.Node) -> str:
    return node.name or str(node.outputs[0].name)


def name_apart(graph: ir.Graph) -> None:
    """Give each node a name of its own: the quantizer knows nodes by name."""
    taken: set[str] = set()
    for number, node in enumerate(graph):
        if not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}_{number}"
        taken.add(node.name)


def _sites(graph: ir.Graph) -> Iterator[ir.Node]:
    """Products, and the operators between convolutions that integers can go through."""
    maps: set[ir.Value] = set()
    for node in graph:
        if node.domain or len(node.outputs) == 0:
            continue
        is_of_maps = all(value in maps for value in _activations(node)[:-1])
        if node.op_type in _CONVOLUTIONS or (is_of_maps and node.op_type in _ACTIVATIONS | _ON_BYTES):
            maps.add(node.outputs[0])
        is_by_weight = node.op_type in PRODUCTS and _weight(node) is not None
        if is_by_weight or (is_of_maps and node.op_type in _ON_BYTES):
            yield node


def _activations(node: ir.Node) -> list[ir.Value]:
    """The computed floats that a node reads, and the one that it makes."""
    read = node.inputs[:1] if node.op_type in PRODUCTS else node.inputs
    found = [value for value in read if value is not None and not value.is_initializer()]
    return [value for value in found if value.dtype == ir.DataType.FLOAT] + [node.outputs[0]]


def _weight(node: ir.Node) -> ir.TensorProtocol | None:
    """The constant that a product multiplies by, as it is before it is transposed; None where it is computed."""
    value = node.inputs[1]
    turn = None if value is None else value.producer()
    return constant_tensor(turn.inputs[0] if turn is not None and turn.op_type == "Transpose" else value)


def _turn_weight(graph: ir.Graph, node: ir.Node) -> None:
    """Let a product read its transposed weight as a tensor of its own: the quantizer looks for no Transpose."""
    turn = node.inputs[1].producer() if node.op_type in PRODUCTS and node.inputs[1] is not None else None
    tensor = None if turn is None else _weight(node)
    if turn is None or tensor is None:
        return
    array, name = tensor.numpy(), f"{turn.outputs[0].name}.turned"
    order = turn.attributes.get_ints("perm", [*reversed(range(array.ndim))])
    if name not in graph.initializers:
        new_initializer(graph, name, ir.tensor(np.ascontiguousarray(array.transpose(order)), name=name))
    node.replace_input_with(1, graph.initializers[name])
    drop_unused(turn.outputs)


def _clips_behind(nodes: Sequence[ir.Node], ranges: Mapping[str, tuple[float, float]]) -> list[ir.Node]:
    """What alone reads the output of one of the nodes, and clips it to no less than its range, which does the same."""
    users = [list(node.outputs[0].consumers()) for node in nodes if not node.outputs[0].is_graph_output()]
    alone = (user for (user,) in (each for each in users if len(each) == 1) if user.op_type in _CLIPS)
    return [user for user in alone if _is_done_by(ranges.get(str(user.outputs[0].name)), user)]


def _is_done_by(bounds: tuple[float, float] | None, clip: ir.Node) -> bool:
    least, most = (0.0, math.inf) if clip.op_type == "Relu" else (_bound(clip, 1, -math.inf), _bound(clip, 2, math.inf))
    return bounds is not None and least <= bounds[0] <= 0 <= bounds[1] <= most


def _bound(clip: ir.Node, index: int, otherwise: float) -> float:
    """A bound of Clip; one that is computed is no number."""
    value = clip.inputs[index] if index < len(clip.inputs) else None
    tensor = constant_tensor(value)
    return otherwise if value is None else math.nan if tensor is None else float(tensor.numpy().item())


def _insert(model: ir.Model, ranges: Mapping[str, tuple[float, float]], names: Iterable[str]) -> None:
    """Let ONNX Runtime's quantizer write the nodes around those of these names."""
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

    ir.external_data.load_to_model(model)
    known = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        ir.to_proto(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, known),
        nodes_to_quantize=list(names),
        nodes_to_exclude=[],
        op_types_to_quantize=sorted(PRODUCTS | _ON_BYTES | _CLIPS),
        extra_options={"ForceQuantizeNoInputCheck": True, "OpTypesToExcludeOutputQuantization": sorted(_MATRICES)},
    )
    quantizer.quantize_model()
    model.graph = ir.from_proto(quantizer.model.model).graph
    model.graph.sort()
