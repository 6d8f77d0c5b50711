"""A case: one operator on operands of the shapes that a real network has, as a model and its feed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

Array = np.ndarray[Any, Any]
Operand = str | Array | np.generic | int | float | list[int] | list[float] | None
"""A text such as `int64 1x128 <30522`, the value of a constant (floats of Python are float32), or None if it is absent.

A text is a type (float32 where none is given), a shape, and for integers and floats from 0 on the bound below which
they are drawn; with `=` before it, it is a constant of the model (a weight, drawn smaller the more it sums).
"""

OLDEST = 21
"""The opset of a model whose operator is no newer."""

_TEXT = re.compile(r"(?P<constant>=?)((?P<dtype>[a-z]\w*) )?(?P<shape>[\dx]*)( ?<(?P<limit>\d+))?")


@dataclass(frozen=True)
class Case:
    """One node, with a DequantizeLinear before its operands and a QuantizeLinear behind it if `is_quantized`."""

    operator: str
    operands: tuple[Operand, ...]
    outputs: int = 1
    is_quantized: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Operator, operands and attributes in one line."""
        operands = ", ".join(map(_text_of, self.operands))
        attributes = ", ".join(f"{name}={_short(value)}" for name, value in self.attributes.items())
        chain = "quantized " if self.is_quantized else ""
        return f"{chain}{self.operator} ({operands})" + (f" {attributes}" if attributes else "")

    def model(self) -> ir.Model:
        """The model, of the oldest opset that has the operator, with inferred shapes.

        Raises:
            ValueError: A text is no operand.
        """
        names = ["" if operand is None else f"x{i}" for i, operand in enumerate(self.operands)]
        results = [f"y{i}" for i in range(self.outputs)]
        nodes = list(_quantized(self, names, results)) if self.is_quantized else [_node(self, names, results)]
        given = {name: value for name, value in zip(names, self.operands, strict=True) if name}
        graph = onnx.helper.make_graph(
            nodes,
            "case",
            [_info(name, draw(value)) for name, value in given.items() if is_drawn(value)],
            [onnx.helper.make_empty_tensor_value_info(name) for name in results],
            [onnx.numpy_helper.from_array(draw(v), name) for name, v in given.items() if not is_drawn(v)],
        )
        opsets = [onnx.helper.make_opsetid("", _opset(self.operator))]
        proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        model = ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))
        for value in model.graph.outputs:
            if value.type is None:  # onnx cannot say it of GroupNormalization, where it is the input's
                value.type, value.shape = model.graph.inputs[0].type, model.graph.inputs[0].shape
        return model

    def feed(self) -> dict[str, Array]:
        """The values of the inputs."""
        return {f"x{i}": draw(operand) for i, operand in enumerate(self.operands) if is_drawn(operand)}


def _opset(operator: str) -> int:
    """The oldest from `OLDEST` on that has the operator."""
    try:
        onnx.defs.get_schema(operator, OLDEST)
    except onnx.defs.SchemaError:
        return int(onnx.defs.get_schema(operator).since_version)
    return OLDEST


def case(operator: str, *operands: Operand, outputs: int = 1, **attributes: Any) -> Case:  # noqa: ANN401 - ONNX's
    """A node with these operands and attributes."""
    return Case(operator, operands, outputs, attributes=attributes)


def quantized(operator: str, *operands: Operand, **attributes: Any) -> Case:  # noqa: ANN401 - ONNX's
    """A node between (de)quantizations, one scale a tensor."""
    return Case(operator, operands, is_quantized=True, attributes=attributes)


def is_drawn(operand: Operand) -> bool:
    """Whether an operand is an input of the model."""
    return isinstance(operand, str) and not operand.startswith("=")


def draw(operand: Operand) -> Array:
    """The value of an operand: floats are standard normal, or uniform below their bound.

    Raises:
        ValueError: The text is none.
    """
    if not isinstance(operand, str):
        array = np.asarray(operand)
        is_plain = isinstance(operand, float | list) and array.dtype == np.float64
        return array.astype(np.float32) if is_plain else array
    found = _TEXT.fullmatch(operand)
    if found is None:
        message = f"{operand!r} is no operand"
        raise ValueError(message)
    dtype = np.dtype(getattr(ml_dtypes, found["dtype"] or "", None) or found["dtype"] or "float32")
    shape = tuple(int(n) for n in found["shape"].split("x") if n)
    limit = None if found["limit"] is None else int(found["limit"])
    array = _drawn(np.random.default_rng(len(operand)), dtype, shape, limit)
    is_weight = found["constant"] and len(shape) > 1 and dtype.kind == "f" and limit is None
    return array / dtype.type(np.sqrt(shape[-1])) if is_weight else array  # a layer should keep the size of its input


def _drawn(rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...], limit: int | None) -> Array:
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        low, high = (max(bounds.min, -1000), min(bounds.max, 1000)) if limit is None else (0, limit - 1)
        return np.asarray(rng.integers(low, high, shape, endpoint=True), dtype)
    return np.asarray(rng.standard_normal(shape) if limit is None else limit * rng.random(shape)).astype(dtype)


def _text_of(operand: Operand) -> str:
    if operand is None:
        return "-"
    return operand if isinstance(operand, str) else _short(np.asarray(operand).tolist())


def _short(value: object) -> str:
    return str(value).replace(" ", "")


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _node(each: Case, names: Sequence[str], results: Sequence[str]) -> onnx.NodeProto:
    return onnx.helper.make_node(each.operator, names, results, name="node", **each.attributes)


def _quantized(each: Case, names: Sequence[str], results: Sequence[str]) -> Iterator[onnx.NodeProto]:
    """The node on floats that integers stand for; a third operand is a bias of int32, whose scale is the product's."""
    scales = [0.02, 0.01, 0.02 * 0.01]
    for name, operand, scale in zip(names, each.operands, scales, strict=False):
        yield _scalar(f"{name}_scale", np.float32(scale))
        yield _scalar(f"{name}_zero", draw(operand).dtype.type(0))
        yield onnx.helper.make_node("DequantizeLinear", [name, f"{name}_scale", f"{name}_zero"], [f"{name}_float"])
    yield _node(each, [f"{name}_float" for name in names], ["y"])
    yield _scalar("y_scale", np.float32(0.5))
    yield _scalar("y_zero", draw(each.operands[0]).dtype.type(0))
    yield onnx.helper.make_node("QuantizeLinear", ["y", "y_scale", "y_zero"], results)


def _scalar(name: str, value: np.generic) -> onnx.NodeProto:
    return onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(value)))
