"""Rows of a tensor chosen by run-time indices, along one axis or several."""

from __future__ import annotations

from contextlib import ExitStack

from tvm import tirx
from tvm.tirx.script import builder as T

from graphprune.backends.tvm.kernels.builder import (
    Expr,
    Flat,
    Kernel,
    Machine,
    bind,
    build_function,
    lanes,
    loop,
    store,
)
from graphprune.backends.tvm.kernels.view import View


def gather_function(machine: Machine, x: View, indices: View, node: str, operator: str = "Gather") -> Expr:
    """The TIR function (x, indices, y) of views `x` [outer, rows, inner] and `indices` [count].

    `y` is [outer, count, inner], row-major. An index below 0 counts from the end; one outside the rows stops the run.
    """
    outer, rows, inner = x.shape
    (count,) = indices.shape

    def body(kernel: Kernel) -> None:
        with loop(count) as i:
            given = bind(kernel["indices"][indices.offset + i * indices.strides[0]])
            row = bind(tirx.Select(given < 0, given + rows, given))
            inside = tirx.all(row >= 0, row < rows)
            with T.Assert(inside, f"node '{node}' ({operator}): index outside the {rows} rows"):
                _copy_row(kernel, machine, x, i, row.astype("int32"), count)

    arguments = [Flat("x", x.size, x.dtype), Flat("indices", indices.size, indices.dtype)]
    return build_function("gather", [*arguments, Flat("y", outer * count * inner, x.dtype)], body)


def _copy_row(kernel: Kernel, machine: Machine, x: View, i: Expr, row: Expr, count: int) -> None:
    outer, _, inner = x.shape
    with loop(outer, parallel=machine.threads > 1) as o:
        source = bind(x.offset + o * x.strides[0] + row * x.strides[1])
        target = bind((o * count + i) * inner)
        lanes(
            inner,
            machine.lanes,
            lambda j: store(kernel["y"], target + j, kernel["x"][source + j * x.strides[2]]),
        )


def gather_nd_function(machine: Machine, x: View, indices: View, node: str) -> Expr:
    """The TIR function (x, indices, y) of views `x` [n1, ..., nk, inner] and `indices` [count, k].

    `y` is [count, inner], row-major. Each index may count from the end; one outside its axis stops the run.
    """
    count, depth = indices.shape
    inner = x.shape[-1]

    def body(kernel: Kernel) -> None:
        with loop(count) as i, ExitStack() as checks:
            source: Expr = x.offset
            for axis in range(depth):
                extent = x.shape[axis]
                given = bind(kernel["indices"][indices.offset + i * indices.strides[0] + axis * indices.strides[1]])
                index = bind(tirx.Select(given < 0, given + extent, given))
                message = f"node '{node}' (GatherND): index outside the {extent} elements of axis {axis}"
                checks.enter_context(T.Assert(tirx.all(index >= 0, index < extent), message))
                source = source + index.astype("int32") * x.strides[axis]
            start = bind(source)
            lanes(
                inner,
                machine.lanes,
                lambda j: store(kernel["y"], i * inner + j, kernel["x"][start + j * x.strides[-1]]),
            )

    arguments = [Flat("x", x.size, x.dtype), Flat("indices", indices.size, indices.dtype)]
    return build_function("gather_nd", [*arguments, Flat("y", count * inner, x.dtype)], body)
