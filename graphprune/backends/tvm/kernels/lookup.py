"""A vector of elements that lie anywhere in a buffer, read by one instruction instead of one by one.

The instruction takes the place of the vector load only at the end, in LLVM's terms: until then TVM sees what is read,
and so do the checks of bounds.
"""

from __future__ import annotations

from tvm import tirx
from tvm.ir import Call, Op, PrimType
from tvm.ir.op import register_op_attr
from tvm.tirx.op import call_llvm_intrin

from graphprune.backends.tvm.kernels.builder import Expr, Machine

LOOKUP = 8
"""Lanes of the instruction, of float32."""

_FEATURE, _INTRINSIC = "avx512vl", "llvm.x86.avx2.gather.d.ps.256"
"""AVX2 has it too, but many of its processors read the elements one by one faster."""

_NAME = "graphprune.lookup"


def has_lookup(machine: Machine) -> bool:
    """Whether the machine has an instruction that is worth it."""
    return _FEATURE in machine.features


def looked_up(buffer: Expr, places: Expr) -> Expr:
    """buffer[places], of float32, for a vector of `LOOKUP` places."""
    return Call(Op.get(_NAME), [buffer[places]], ret_ty=PrimType(f"float32x{LOOKUP}"))


def _instruction(call: Expr) -> Expr:
    load = call.args[0]
    dtype, (places,) = str(call.ty.dtype), load.indices
    nothing = tirx.Broadcast(tirx.const(0.0, "float32"), LOOKUP)
    all_lanes = tirx.reinterpret(dtype, tirx.Broadcast(tirx.const(-1, "int32"), LOOKUP))
    address, size = tirx.op.address_of(load.source[0]), tirx.const(4, "int8")
    return call_llvm_intrin(dtype, _INTRINSIC, nothing, address, places, all_lanes, size)


register_op_attr(_NAME, "TCallEffectKind", tirx.CallEffectKind.ReadState.value)
register_op_attr(_NAME, "TScriptPrinterName", _NAME)
tirx.register_intrin_lowering(_NAME, target="default", f=_instruction)
