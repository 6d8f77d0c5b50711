"""Random expressions of elements, fused into kernels, beside NumPy: every operation rounds, wraps and has its NaN."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backends.tvm.graphs import compile_

T = TypeVar("T")
Array = npt.NDArray[Any]

COUNT = 35
"""Whole vectors and a shorter one."""

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, 3.3, -2.7, np.nan, np.inf, -np.inf, 1e-45, -1e-30, 3e38, -3e38, 12582912.0, 65519.0)


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of this name."""
    return np.dtype(getattr(ml_dtypes, name, name))


def quotient(a: Array, b: Array) -> Array:
    """Of integers rounded towards zero; 0 where the divisor is 0."""
    return ((a - np.fmod(a, b)) // b).astype(a.dtype)


Table = dict[str, Callable[[Array, Array], Array]]

ARITHMETIC: Table = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}
OF_FLOATS: Table = {**ARITHMETIC, "Div": np.divide}
BITS: Table = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}
OF_INTEGERS: Table = {**ARITHMETIC, **BITS, "Div": quotient, "Mod": np.mod, "Max": np.maximum, "Min": np.minimum}
OF_BOOLEANS: Table = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor, "Equal": np.equal}
ORDER: Table = {"Less": np.less, "Greater": np.greater, "LessOrEqual": np.less_equal}
COMPARISONS: Table = {**ORDER, "GreaterOrEqual": np.greater_equal, "Equal": np.equal}
UNARY: dict[str, Callable[[Array], Array]] = {"Neg": np.negative, "Abs": np.abs}


@dataclass
class Draft:
    """An expression under construction, and the value of each of its nodes by NumPy."""

    draw: st.DrawFn
    rng: np.random.Generator
    values: dict[str, Array] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    feed: dict[str, Array] = field(default_factory=dict)

    def one_of(self, options: Sequence[T]) -> T:
        """A drawn option."""
        return options[self.draw(st.integers(0, len(options) - 1))]

    def leaf(self, dtype: str) -> str:
        """A new input of this dtype, or a constant of one element.

        None of int64: the shape inference of ONNX computes with those, and refuses what overflows.
        """
        values = drawn(self.rng, dtype)
        name = f"{'c' if dtype != 'int64' and self.one_of((True, False)) else 'x'}{len(self.values)}"
        if name[0] == "c":
            self.values[name] = values[self.draw(st.integers(0, COUNT - 1))]
            self.constants.append(onnx.numpy_helper.from_array(self.values[name], name))
        else:
            self.feed[name] = self.values[name] = values
        return name

    def operand(self, dtype: str) -> str:
        """A recent value of this dtype, or a leaf."""
        same = [name for name, value in self.values.items() if value.dtype == dtype_of(dtype)][-3:]
        return self.one_of([*same, ""]) or self.leaf(dtype)

    def emit(self, operator: str, inputs: Sequence[str], value: Array, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node."""
        name = f"v{len(self.values)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], **attributes))
        self.values[name] = value
        return name

    def cast(self, x: str, dtype: str) -> str:
        """Add a Cast of a value that the dtype has room for."""
        to = onnx.helper.np_dtype_to_tensor_dtype(dtype_of(dtype))
        return self.emit("Cast", [x], self.values[x].astype(dtype_of(dtype)), to=to)


def drawn(rng: np.random.Generator, dtype: str) -> Array:
    """Elements of a dtype: any at all, and small ones."""
    if dtype == "bool":
        return rng.random(COUNT) < 0.5
    if dtype in FLOATS:
        return np.where(rng.random(COUNT) < 0.5, rng.choice(EDGES, COUNT), rng.normal(size=COUNT)).astype(
            dtype_of(dtype)
        )
    info = np.iinfo(dtype)
    any_at_all = rng.integers(info.min, info.max, COUNT, dtype, endpoint=True)
    return np.where(rng.random(COUNT) < 0.5, any_at_all, rng.integers(0, 4, COUNT) - (info.min < 0)).astype(dtype)


def step(d: Draft) -> None:
    """One more node, or a few."""
    kind = d.one_of(("float32", *FLOATS, *INTEGERS, "bool"))
    table = OF_FLOATS if kind in FLOATS else OF_INTEGERS if kind in INTEGERS else OF_BOOLEANS
    form = d.one_of(("binary", "binary", "compare", "where", "unary", "cast"))
    a, b = d.operand(kind), d.operand(kind)
    x, y = d.values[a], d.values[b]
    if form == "binary" or kind == "bool":
        operator = d.one_of(list(table))
        d.emit(operator, [a, b], table[operator](x, y))
    elif form == "compare":
        operator = d.one_of(list(COMPARISONS))
        d.emit(operator, [a, b], COMPARISONS[operator](x, y))
    elif form == "where":
        c = d.operand("bool")
        d.emit("Where", [c, a, b], np.where(d.values[c], x, y))
    elif form == "cast":
        _cast(d, a, kind)
    elif not kind.startswith("u"):
        operator = d.one_of(list(UNARY))
        d.emit(operator, [a], UNARY[operator](x))


def _cast(d: Draft, a: str, kind: str) -> None:
    """To any type; a float that an integer has no room for becomes 0 first."""
    wanted = d.one_of(("bool", *FLOATS, *INTEGERS))
    if kind in FLOATS and wanted in INTEGERS:
        limit = d.emit("Abs", [a], np.abs(d.values[a]))
        for name, value in (("most", 100), ("none", 0)):
            d.values[f"{name}{a}"] = np.array(value, dtype_of(kind))
            d.constants.append(onnx.numpy_helper.from_array(d.values[f"{name}{a}"], f"{name}{a}"))
        fits = d.emit("Less", [limit, f"most{a}"], d.values[limit] < d.values[f"most{a}"])
        positive = limit if wanted.startswith("u") else a
        a = d.emit(
            "Where", [fits, positive, f"none{a}"], np.where(d.values[fits], d.values[positive], d.values[f"none{a}"])
        )
    d.cast(a, wanted)


@dataclass
class Case:
    """A model, what to give it, and what it must give."""

    text: str
    model: ir.Model = field(repr=False)
    feed: Mapping[str, Array] = field(repr=False)
    expected: Sequence[Array] = field(repr=False)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A graph of up to 10 steps; its last two values are its outputs."""
    d = Draft(draw, np.random.default_rng(draw(st.integers(0, 1000))))
    d.feed["x"] = d.values["x"] = drawn(d.rng, "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(draw(st.integers(2, 10))):
            step(d)
    names = [node.output[0] for node in d.nodes if d.values[node.output[0]].shape][-2:]
    inputs, outputs = ([_info(name, d.values[name]) for name in group] for group in (d.feed, names))
    graph = onnx.helper.make_graph(d.nodes, "g", inputs, outputs, d.constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return Case(onnx.printer.to_text(graph), ir.from_proto(model), d.feed, [d.values[name] for name in names])


def _info(name: str, value: Array) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


@given(cases(), st.sampled_from(["native", "x86-64-v3"]))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_equals_numpy(case: Case, target: str) -> None:
    found = compile_(case.model, target).run(None, case.feed)
    for ours, theirs in zip(found, case.expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(_comparable(ours), _comparable(theirs), case.text)


def _comparable(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == dtype_of("bfloat16") else array
