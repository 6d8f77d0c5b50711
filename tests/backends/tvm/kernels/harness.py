"""Compile one TIR function for a named machine and run it on NumPy arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import ir

from graphprune.backends.tvm.backend import machine_of
from graphprune.backends.tvm.building.pipeline import lower
from graphprune.backends.tvm.building.trial import compile_kernel
from graphprune.backends.tvm.kernels.builder import Expr, Machine
from graphprune.backends.tvm.kernels.view import View
from graphprune.targets.cpuinfo import read_cpu
from graphprune.targets.target import TARGETS
from tests.backends.tvm.kernels.guarded import CANARY, Guarded

Array = npt.NDArray[Any]

V4, V3 = (replace(machine_of(TARGETS[level], 1), l2_bytes=1 << 20) for level in ("x86-64-v4", "x86-64-v3"))
NEEDS = {16: ("x86-64-v4", "avx512vl"), 8: ("x86-64-v3", "avx2")}
MACHINES = [pytest.param(V4, id="v4"), pytest.param(V3, id="v3")]

UNTOUCHED = 77
"""What outputs hold before a kernel runs, so that an element that is not written shows."""


def skip_without(feature: str) -> None:
    """Skip the test on processors that lack an instruction set."""
    if feature not in read_cpu().features:
        pytest.skip(f"the CPU has no {feature}")


class Compiled:
    """One compiled function; call it with its inputs to get its output."""

    def __init__(self, function: Expr, machine: Machine) -> None:
        level, feature = NEEDS[machine.lanes]
        skip_without(feature)
        self._function, self._target = function, TARGETS[level]
        self._session = compile_kernel(function, self._target, machine.threads)

    def __call__(self, *inputs: Array, size: int, dtype: str = "float32") -> Array:
        """The output of `size` elements; reading or writing beside a buffer ends the process or fails."""
        (info,) = self._session.get_outputs()
        assert (info.static_shape, info.dtype) == ((size,), np.dtype(dtype))
        output = Guarded(np.full(size, UNTOUCHED, dtype), CANARY)
        read = [Guarded(x) for x in inputs]
        feed = {f"x{i}": x.values for i, x in enumerate(read)}
        self._session.run_with_buffers(feed, {"y": output.values})
        output.assert_only_elements_changed()
        for x in read:
            x.assert_unchanged()
        return output.values.copy()

    def called(self) -> set[str]:
        """Names of the functions that the machine code calls, those of TVM and of the C part left out."""
        chip = tvm.target.Target(self._target.llvm)
        module = lower({ir.GlobalVar("main"): self._function}, chip)
        assembly = tvm.get_global_func("target.build.llvm")(module, chip).inspect_source("s")
        names = re.findall(r"\bcallq?\s+([\w.]+)", str(assembly))
        return {name for name in names if not name.startswith(("TVM", "__tvm", "main", "gp_"))}


def run(function: Expr, machine: Machine, inputs: Sequence[Array], size: int, dtype: str = "float32") -> Array:
    """Compile `function` and run it once: its output of `size` elements."""
    return Compiled(function, machine)(*inputs, size=size, dtype=dtype)


def array_of(view: View, flat: Array) -> Array:
    """What `view` shows of a buffer."""
    strides = [stride * flat.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(flat[view.offset :], view.shape, strides, writeable=False)


def random(size: int, seed: int = 0) -> Array:
    """Seeded normal float32 values."""
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)
