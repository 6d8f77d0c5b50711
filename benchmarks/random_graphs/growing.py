"""Random nodes: by the schema of an operator, or like one of the cases that come with `onnx`."""

from __future__ import annotations

import functools

import numpy as np
import onnx

from benchmarks.coverage_files import compiled, operators, torch
from benchmarks.random_graphs.attributes import draw_attributes
from benchmarks.random_graphs.draft import Draft, Value
from benchmarks.random_graphs.elements import BFLOAT16, DTYPES, is_float
from benchmarks.random_graphs.operands import draw_operand
from benchmarks.random_graphs.templates import Template, templates

MOST_NODES = 8
ATTEMPTS = 60
"""Nodes that are tried for a graph: ONNX Runtime refuses many."""

RANDOM = frozenset({"Bernoulli", "SequenceMap"})
OPTIONAL = 0.4
"""The share of optional operands that are there."""

AS_CASES = 0.35
"""The share of nodes that are like a case."""

Schema = onnx.defs.OpSchema


@functools.cache
def known_operators() -> tuple[str, ...]:
    """Operators of ONNX that `compile` or `to_torch` takes, by the tables of both."""
    known = [each.name for each in operators() if not each.domain and {compiled(each), torch(each)} != {"refused"}]
    return tuple(name for name in known if name not in RANDOM)


def grow(name: str, opset: int, random: np.random.Generator) -> Draft:
    """A graph of one to `MOST_NODES` nodes."""
    draft, wanted = Draft(name, opset, random), int(random.integers(1, MOST_NODES + 1))
    attempts = 0
    while len(draft.nodes) < wanted and (attempts < ATTEMPTS or not draft.nodes):
        attempts += 1
        operator = str(random.choice(known_operators()))
        like = templates().get(operator, [])
        if like and random.random() < AS_CASES:
            _add_like(draft, like[random.integers(len(like))])
        elif onnx.defs.has(operator, opset, ""):
            _add_by_schema(draft, onnx.defs.get_schema(operator, opset))
    return draft


def _add_by_schema(draft: Draft, schema: Schema) -> bool:
    random, bound = draft.random, dict[str, np.dtype]()
    operands: list[Value | None] = []
    for parameter in schema.inputs:
        kind = parameter.option
        count = 1
        if kind == Schema.FormalParameterOption.Variadic:
            count = int(random.integers(1, 4))
        elif kind == Schema.FormalParameterOption.Optional and random.random() > OPTIONAL:
            operands.append(None)
            continue
        operands += [_operand(draft, schema, parameter, bound, operands) for _ in range(count)]
    while operands and operands[-1] is None:
        operands.pop()
    shape = operands[0].array.shape if operands and operands[0] else ()
    attributes = draw_attributes(schema, random, shape)
    outputs = max(schema.min_output, 2 if schema.name == "Split" else 1)
    if schema.name == "Split" and "num_outputs" in schema.attributes and len(operands) < 2:
        attributes["num_outputs"] = outputs
    return draft.add(schema.name, operands, attributes, outputs)


def _operand(
    draft: Draft,
    schema: Schema,
    parameter: Schema.FormalParameter,
    bound: dict[str, np.dtype],
    before: list[Value | None],
) -> Value:
    first = before[0].array.shape if before and before[0] else None
    special = draw_operand(schema.name, parameter.name, draft.random, first) if first is not None else None
    if special is not None:
        return draft.given(special, is_constant=True, is_setting=True)
    allowed = [bound[parameter.type_str]] if parameter.type_str in bound else _allowed(parameter)
    value = _known(draft, allowed, first)
    if value is None:
        dtype = allowed[draft.random.integers(len(allowed))] if allowed else np.dtype(np.float32)
        value = draft.new(dtype, _shape(draft, first))
    bound[parameter.type_str] = value.array.dtype
    return value


@functools.cache
def _allowed_names(names: frozenset[str]) -> list[np.dtype]:
    return [dtype for name, dtype in DTYPES.items() if name in names]


def _allowed(parameter: Schema.FormalParameter) -> list[np.dtype]:
    return _allowed_names(frozenset(parameter.types))


def _known(draft: Draft, allowed: list[np.dtype], first: tuple[int, ...] | None) -> Value | None:
    """A value that there is already: mostly one that was computed."""
    if draft.random.random() < 0.3:
        return None
    fitting = [value for value in draft.values() if value.array.dtype in allowed and _fits(value, first)]
    return fitting[-1 - min(int(draft.random.exponential(2)), len(fitting) - 1)] if fitting else None


def _fits(value: Value, first: tuple[int, ...] | None) -> bool:
    if first is None:
        return True
    try:
        np.broadcast_shapes(value.array.shape, first)
    except ValueError:
        return False
    return True


def _shape(draft: Draft, first: tuple[int, ...] | None) -> tuple[int, ...]:
    random = draft.random
    if first is None:
        rank = int(random.choice((0, 1, 2, 2, 3, 3, 4, 4, 5)))
        return tuple(int(n) for n in random.choice((1, 2, 3, 3, 4, 5, 7, 17), rank))
    start = int(random.integers(len(first) + 1)) if random.random() < 0.4 else 0
    return tuple(1 if random.random() < 0.15 else n for n in first[start:])


def _add_like(draft: Draft, template: Template) -> bool:
    random = draft.random
    floats = [np.dtype(np.float32)] * 3 + [np.dtype(np.float64), np.dtype(np.float16), BFLOAT16]
    other = floats[random.integers(len(floats))]
    operands: list[Value | None] = []
    for index, array in enumerate(template.operands):
        if array is None:
            operands.append(None)
        elif array.dtype not in DTYPES.values():
            return False
        elif index in template.constants or not is_float(array.dtype):
            setting = index in template.constants
            operands.append(draft.given(array, is_constant=setting or random.random() < 0.5, is_setting=setting))
        else:
            dtype = other if array.dtype == np.float32 else array.dtype
            same = [v for v in draft.values() if v.array.dtype == dtype and v.array.shape == array.shape]
            operands.append(same[-1] if same and random.random() < 0.6 else draft.new(dtype, array.shape))
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in template.node.attribute}
    return draft.add(template.node.op_type, operands, attributes, len(template.node.output))
