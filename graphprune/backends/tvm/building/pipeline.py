"""From TIR functions of buffers to functions of addresses, and TVM's passes for processors over them.

Every function is called with the addresses of its buffers and returns 0, or less where an assertion does not hold.
TVM's own pipeline would make functions of its calling convention, which needs TVM's runtime.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import tvm
from tvm import ir, s_tir, tirx

from graphprune.backends.tvm.building.bounds import add_checks
from graphprune.backends.tvm.kernels.text import checks_bounds
from graphprune.backends.tvm.kernels.view import Handle

_C_CONVENTION = 2
"""TVM's number for functions that it leaves as they are."""

_PROCESSOR = {"device_id": 0, "device_type": 1}
"""What work buffers are asked for with."""


def lower(functions: Mapping[Handle, Handle], chip: Handle) -> Handle:
    """The functions, by global variable, as an IR module that LLVM's code generator takes; each keeps its name.

    `chip` is TVM's target.
    """
    module = tvm.IRModule({variable: _with_pointers(f, variable.name_hint) for variable, f in functions.items()})
    module = tirx.transform.BindTarget(chip.with_host(chip))(module)
    return tvm.transform.Sequential(_checked() if checks_bounds() else _fast())(module)


def _with_pointers(function: Handle, name: str) -> Handle:
    """The function with the addresses of its buffers as parameters."""
    pointers, buffers = [], []
    for parameter in function.params:
        if isinstance(parameter.ty, tirx.BufferType):
            pointers.append(tirx.Var(parameter.name, ir.PointerType(ir.PrimType(str(parameter.dtype)))))
            buffers.append(tirx.DeclBuffer(parameter, data=pointers[-1]))
        else:
            pointers.append(parameter)
    body = tirx.stmt_seq(*buffers, function.body)
    lowered = tirx.PrimFunc(pointers, body, ret_type=ir.PrimType("int32"), attrs=function.attrs)
    return lowered.with_attr({"global_symbol": name, "calling_conv": _C_CONVENTION})


@functools.partial(tvm.transform.module_pass, opt_level=0)
def _on_processor(module: Handle, _context: Handle) -> Handle:
    """Say for which device the work buffers of each function are."""
    for variable, function in module.functions.items():
        body = function.body
        for what, number in _PROCESSOR.items():
            body = tirx.AttrStmt(ir.StringImm("default"), what, tirx.IntImm("int32", number), body)
        module.update_func(variable, function.with_body(body))
    return module


def _to_calls() -> list[Handle]:
    """The last passes, after which only calls of LLVM and of the C part are left."""
    t = tirx.transform
    return [t.BF16StorageLegalize(), _on_processor, t.LowerTVMBuiltin(), t.LowerIntrin()]


def _fast() -> list[Handle]:
    """What of TVM's default pipeline does something on a processor."""
    s, t = s_tir.transform, tirx.transform
    return [
        s.StmtSimplify(),
        t.BF16ComputeLegalize(),
        t.NarrowDataType(32),
        s.LoopPartition(),
        t.VectorizeLoop(),
        t.StorageRewrite(),
        s.HoistIfThenElse(),
        t.UnrollLoop(),
        s.RenormalizeSplitPattern(),
        t.StmtSimplify(),
        t.RemoveNoOp(),
        s.RewriteUnsafeSelect(),
        t.CommonSubexprElim(),
        t.VerifyMemory(),
        *_to_calls(),
    ]


def _checked() -> list[Handle]:
    """The same with checks put in, without what only serves speed."""
    s, t = s_tir.transform, tirx.transform
    return [
        t.BF16ComputeLegalize(),
        t.NarrowDataType(32),
        t.VectorizeLoop(),
        s.RewriteUnsafeSelect(),
        tvm.transform.module_pass(add_checks, opt_level=0),
        t.StorageRewrite(),
        t.StmtSimplify(),
        t.VerifyMemory(),
        *_to_calls(),
    ]
