"""Soft masks of a file on their way through torch: a call of one operator there, the call of the function here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from onnx import defs
from onnxscript import values
from torch import fx

from graphprune.graph.functions import DOMAIN, VERSION
from graphprune.masked.calls import call_form, is_mask_call, read_call
from graphprune.masked.functions import NAMES, define
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import parse_pattern
from graphprune.masks.torch_operators import OPERATOR, Ramp, soft_masked
from graphprune.stages.stage import Stage, set_stage

_ATTRIBUTES = ("relative", "keep", "of", "rows", "columns", "output_axis", "input_axis")
_INPUTS = ("weight", "budget", "ratio", "temperature")


def masked_weight(
    weight: torch.Tensor,
    budget: torch.Tensor,
    ratio: torch.Tensor,
    temperature: torch.Tensor,
    *,
    pattern: str,
    axes: tuple[int, int],
    relative: bool,
) -> torch.Tensor:
    """Compute what a soft-mask call does."""
    return soft_masked(weight, Ramp(budget, ratio, temperature, relative), pattern, WeightAxes(*axes))


def add_mask(graph: fx.Graph, node: ir.Node, inputs: tuple[Any, ...], name: str) -> fx.Node:
    """Add the call that `node` is to a graph of torch; its scalars stay tensors that a schedule may change."""
    call = read_call(node)
    attributes: dict[str, Any] = {
        "pattern": str(call.pattern),
        "axes": (call.axes.output, call.axes.input),
        "relative": call.temperature.relative,
    }
    return graph.create_node("call_function", masked_weight, inputs, attributes, name=name)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what `torch.onnx.export` makes of the operator: a call of the function of its pattern."""
    return {OPERATOR: _call}


def adopt_masks(model: ir.Model) -> None:
    """Give an exported model the functions that its mask calls name, and the stage of a masked one."""
    names = {node.op_type for node in model.graph.all_nodes() if is_mask_call(node)}
    for name in sorted(names):
        define(model, name)
    if names:
        set_stage(model, Stage.MASKED)


def _call(  # noqa: PLR0913, PLR0917 - the inputs of the operator
    tensor: object,
    budget: object,
    ratio: object,
    temperature: object,
    relative: bool,  # noqa: FBT001
    sampled: bool,  # noqa: FBT001
    pattern: str,
    axes: list[int],
) -> object:
    del sampled  # only a training mask estimates, and is not exported
    name, attributes = call_form(parse_pattern(pattern), WeightAxes(*axes))
    operator = values.Op(values.Opset(DOMAIN, VERSION), name, _SCHEMAS[name])
    return operator(tensor, budget, ratio, temperature, relative=int(relative), **attributes)


def _schema(name: str) -> defs.OpSchema:
    kinds = ["tensor(float16)", "tensor(bfloat16)", "tensor(float)", "tensor(double)"]
    inputs = [defs.OpSchema.FormalParameter(given, f"T{index}") for index, given in enumerate(_INPUTS)]
    return defs.OpSchema(
        name,
        DOMAIN,
        VERSION,
        inputs=inputs,
        outputs=[defs.OpSchema.FormalParameter("masked", "T0")],
        type_constraints=[(f"T{index}", kinds, "") for index in range(len(inputs))],
        attributes=[
            defs.OpSchema.Attribute(given, defs.OpSchema.AttrType.INT, required=False) for given in _ATTRIBUTES
        ],
    )


_SCHEMAS = {name: _schema(name) for name in NAMES}
