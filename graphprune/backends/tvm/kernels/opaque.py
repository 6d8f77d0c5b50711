"""Arithmetic on elements that TVM's simplifiers leave alone.

TVM simplifies as if numbers were real: (x + c) - c becomes x, x == x becomes true, not (x > 0) becomes x <= 0, whatever
rounds, wraps or is NaN. That serves indices. What a model computes with its elements is therefore written as calls of
operators of our own, of which TVM knows only that they are pure and that vectors may have them. The last pass but the
code generator (`LowerIntrin`) turns each into the operation that it stands for. LLVM keeps to IEEE 754 by itself, but
that it fuses a product and the sum that reads it: inside an operator this is welcome, between two see `rounded`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.ir import Call, Op, PrimType
from tvm.ir.expr import TensorLoad
from tvm.ir.op import register_op_attr
from tvm_ffi import ObjectConvertible, structural_mutate

Expr = Any
"""A TIR expression; TVM's Python package carries no types."""

_PREFIX = "graphprune."
_LITERAL, _ROUNDED, _INTEGER = f"{_PREFIX}literal", f"{_PREFIX}rounded", f"{_PREFIX}nearest_integer"
_TWICE_AS_WIDE = {"int32": "int64", "int64": "int128"}

_WRAPPING = (tirx.Add, tirx.Sub, tirx.Mul)
_OPERATIONS = (*_WRAPPING, tirx.Div, tirx.Mod, tirx.EQ, tirx.NE, tirx.LT, tirx.LE, tirx.GT, tirx.GE)
_LEAVES = (TensorLoad, tirx.Var, tirx.IntImm, tirx.FloatImm)


def opaque(value: Expr) -> Expr:
    """The same value, each operation in it a call; what it loads, and at which index, stays as it is."""
    if isinstance(value, ObjectConvertible):  # what `==` of expressions gives is an expression only when asked
        value = value.asobject()
    if isinstance(value, _OPERATIONS):
        arguments = [opaque(value.a), opaque(value.b)]
        return _call(_PREFIX + type(value).__name__, arguments, str(value.ty.dtype))
    if isinstance(value, _LEAVES) or _is_kept(value):
        return value

    def part(each: Expr, mutator: Expr) -> Expr:
        return mutator.default_mutate(each) if each.same_as(value) else opaque(each)

    return structural_mutate(value, (tirx.Expr, part))


def opaque_literal(value: float, dtype: str) -> Expr:
    """A literal that TVM does not fold into the operations that read it: x * 0 is not 0 for an infinite x."""
    return _call(_LITERAL, [tirx.const(value, dtype)], dtype)


def rounded(value: Expr) -> Expr:
    """A product that LLVM does not fuse with a sum that reads it, which would round once; other values as they are."""
    is_product = _is_call_of(value, _PREFIX + tirx.Mul.__name__) and value.ty.dtype.is_float
    return _call(_ROUNDED, [value], str(value.ty.dtype)) if is_product else value


def nearest_integer(value: Expr) -> Expr:
    """The nearest integer of a float, the even one of two, which keeps the sign of zero."""
    return _call(_INTEGER, [opaque(value)], str(value.ty.dtype))


def literal_value(value: Expr) -> float | None:
    """The value of a literal, or None for anything that is computed."""
    return float(value.args[0].value) if _is_call_of(value, _LITERAL) else None


def _is_call_of(value: Expr, name: str) -> bool:
    return isinstance(value, Call) and isinstance(value.op, Op) and value.op.name == name


def _call(name: str, arguments: list[Expr], dtype: str) -> Expr:
    return Call(Op.get(name), arguments, ret_ty=PrimType(dtype))


def _is_kept(value: Expr) -> bool:
    """Calls of ours, and reads of tensor expressions, which are calls too."""
    return isinstance(value, Call) and (not isinstance(value.op, Op) or value.op.name.startswith(_PREFIX))


def _revealed(node: type) -> Callable[[Expr], Expr]:
    """From a call back to its operation."""

    def reveal(call: Expr) -> Expr:
        a, b = call.args
        kind, lanes = str(a.ty.dtype.with_lanes(1)), a.ty.dtype.lanes
        if kind == "bool":  # LLVM compares integers, and a boolean is none
            return node(_cast(a, "uint8", lanes), _cast(b, "uint8", lanes))
        if node in _WRAPPING and kind.removeprefix("u") in _TWICE_AS_WIDE:
            return _wrapped(node, a, b, kind, lanes)
        if node is tirx.NE:  # of TVM it is false for NaN
            return tirx.Not(tirx.EQ(a, b))
        return node(a, b)

    return reveal


def _wrapped(node: type, a: Expr, b: Expr, dtype: str, lanes: int) -> Expr:
    """The operation in twice as many bits, then cut, which LLVM narrows again: TVM tells it that none overflows."""
    signed = dtype.removeprefix("u")
    wide = (_cast(_seen_as(x, signed, lanes), _TWICE_AS_WIDE[signed], lanes) for x in (a, b))
    return _seen_as(_cast(node(*wide), signed, lanes), dtype, lanes)


def _cast(value: Expr, dtype: str, lanes: int) -> Expr:
    return tirx.Cast(_lanes(dtype, lanes), value)


def _seen_as(value: Expr, dtype: str, lanes: int) -> Expr:
    wanted = _lanes(dtype, lanes)
    return value if str(value.ty.dtype) == wanted else tirx.reinterpret(wanted, value)


def _lanes(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def _register(name: str, reveal: Callable[[Expr], Expr]) -> None:
    register_op_attr(name, "TCallEffectKind", tirx.CallEffectKind.Pure.value)
    register_op_attr(name, "TVectorizable", value=True)
    register_op_attr(name, "TScriptPrinterName", name)
    tirx.register_intrin_lowering(name, target="default", f=reveal)


def _fenced(call: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin(str(call.ty.dtype), "llvm.arithmetic.fence", call.args[0])


def _to_even(call: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin(str(call.ty.dtype), "llvm.roundeven", call.args[0])


_register(_LITERAL, lambda call: call.args[0])
_register(_INTEGER, _to_even)
_register(_ROUNDED, _fenced)
for _operation in _OPERATIONS:
    _register(_PREFIX + _operation.__name__, _revealed(_operation))
