"""Layers compiled in every way there is, not only the one that is estimated to be the fastest, beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import strategies as st

from graphprune.backends.base import Variant
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm import variants
from graphprune.backends.tvm.backend import TvmBackend
from graphprune.backends.tvm.kernels.builder import Machine
from graphprune.backends.tvm.kernels.text import CHECKS_VARIABLE
from graphprune.backends.tvm.operators import nm, planes, strips, weights, winograd
from graphprune.backends.tvm.operators.costs import SINGLE_ISSUE
from graphprune.backends.tvm.operators.weights import Candidate, Weight
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.targets.target import resolve_target
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.layer_graph import LayerGraph
from tests.backends.tvm.layers import Layer

KERNELS = ["dense", *("rows" if height == 1 else f"rows of {height}" for height in SINGLE_ISSUE.rows)]


@dataclass(frozen=True)
class Choices:
    """How a model is compiled; None leaves the choice of a kernel to the estimate.

    Attributes:
        layout: How weights are packed, if they are.
        kernel: Which kernel they are given where they may be.
        strips: Whether planes are cut in strips, wherever they can be.
        winograd: Whether 3x3 convolutions are computed by transformed tiles, wherever they can be.
        groups: Whether a few rows are multiplied by N:M groups, wherever they can be.
        small_caches: Whether caches are as small as a few vectors.
        check_bounds: Whether the code checks its accesses.
    """

    target: str = "native"
    threads: int = 1
    layout: str | None = None
    kernel: str | None = None
    strips: bool | None = None
    winograd: bool | None = None
    groups: bool | None = None
    small_caches: bool = False
    check_bounds: bool = False

    def compile(self, model: ir.Model) -> CompiledSession:
        """The model through the backend alone."""
        if self.layout is not None:
            model = run_pass(PackWeights(min_sparsity=0.0, layout=self.layout), model).model
        target = resolve_target(self.target)
        if self.small_caches:
            target = replace(target, l1d_bytes=1 << 10, l2_bytes=1 << 12)
        with pytest.MonkeyPatch.context() as patch:
            self._force(patch)
            return TvmBackend().compile([Variant.of(model)], target, self.threads)

    def _force(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv(CHECKS_VARIABLE, "1" if self.check_bounds else "")
        if self.kernel is not None:
            patch.setattr(planes, "candidates", _preferring(self.kernel))
        if self.strips is not None:
            patch.setattr(strips, "COPY_COST", 0 if self.strips else float("inf"))
            patch.setattr(strips, "candidates", _preferring("rows"))
        if self.winograd is not None:
            share = 0.0 if self.winograd else float("inf")
            patch.setattr(winograd, "share_of_dense", lambda *_: share)
        if self.groups:
            patch.setattr(nm, "MOST_SLOTS", float(1 << 30))
            patch.setattr(nm, "LEAST_ZEROS", 1e-6)
        elif self.groups is not None:
            patch.setattr(variants, "choose_nm", lambda *_, near: None)  # noqa: ARG005


def _preferring(kernel: str) -> Callable[..., list[Candidate]]:
    """`candidates`, this kernel first where it is one of them."""

    def choose(weight: Weight, machine: Machine, *, few: int, near: bool = False) -> list[Candidate]:
        return sorted(
            weights.candidates(weight, machine, few=few, near=near), key=lambda candidate: candidate.kernel != kernel
        )

    return choose


def choices() -> st.SearchStrategy[Choices]:
    """Any way; the plainest first."""
    return st.builds(
        Choices,
        target=st.sampled_from(["native", "x86-64-v3"]),
        threads=st.integers(1, 2),
        layout=st.sampled_from([None, *["rows"] * 5, "auto", "bitmask"]),
        kernel=st.sampled_from([None, None, *KERNELS]),
        strips=st.sampled_from([None, True, False]),
        winograd=st.sampled_from([None, True, False, False]),
        groups=st.sampled_from([None, True, False]),
        small_caches=st.booleans(),
    )


def check(layers: Sequence[Layer], chosen: Choices) -> list[str]:
    """All layers, compiled together, give what ONNX Runtime gives without optimisations. Returns their kernels."""
    graph = LayerGraph(layers)
    model = graph.model()
    expected = session_for(model, optimize=False).run(None, graph.feed)
    session = chosen.compile(model)
    ours = session.run(None, graph.feed)
    for layer, result, right in zip(layers, ours, expected, strict=True):
        assert result.shape == right.shape == layer.y, layer
        rtol, atol = _tolerance(layer, right)
        np.testing.assert_allclose(result.astype(float), right.astype(float), rtol, atol, err_msg=f"{layer}, {chosen}")
    return [note.kernel for note in session.kernels]


def _tolerance(layer: Layer, right: np.ndarray) -> tuple[float, float]:
    """None where results are exact; else that of sums in another order, or one level."""
    if layer.is_exact:
        return 0.0, 0.0
    return (0.0, 1.0) if layer.bytes else (1e-4, 1e-5 * max(1.0, float(np.abs(right).max())))
