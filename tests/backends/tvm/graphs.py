"""Small graphs written as ONNX text, and their run through the backend beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir

from graphprune.backends.base import Variant, tensor_infos
from graphprune.backends.onnxruntime import session_for
from graphprune.backends.tvm.backend import TvmBackend, machine_of
from graphprune.backends.tvm.lowering.graph import lower_graph
from graphprune.backends.tvm.operators import ANCHORS, OPERATORS
from graphprune.backends.tvm.operators.attention_groups import join_attention
from graphprune.backends.tvm.operators.nm import choose_nm
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.program.recording import Kernels, Weights
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune.targets.target import resolve_target
from graphprune.verification.feeds import random_feed
from graphprune_runtime.interface import Session
from graphprune_runtime.session import CompiledSession

Initializer = tuple[int, ...] | np.ndarray


def parse(text: str, initializers: Mapping[str, Initializer] | None = None, opset: int = 20) -> ir.Model:
    """A model from the text of its graph; a shape stands for seeded normal float32 values."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]>\n{text}')
    rng = np.random.default_rng(0)
    for name, value in (initializers or {}).items():
        array = value if isinstance(value, np.ndarray) else rng.standard_normal(value).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def pruned(*shape: int, zeros: float = 0.7) -> np.ndarray:
    """Seeded normal float32 values, the given share of which are zeros."""
    rng = np.random.default_rng(3)
    values: np.ndarray = rng.standard_normal(shape).astype(np.float32)
    values[rng.random(shape) < zeros] = 0
    return values


def compile_(model: ir.Model, target: str = "native", threads: int = 1) -> CompiledSession:
    """The model through the backend alone."""
    return TvmBackend().compile([Variant.of(model)], resolve_target(target), threads)


def prepared(model: ir.Model) -> ir.Model:
    """The model as the backend lowers it."""
    return prepare(model, lambda node: refusal(node, OPERATORS))


def operators(model: ir.Model) -> list[str]:
    """The operators of the prepared graph, in order."""
    return [node.op_type for node in prepared(model).graph]


def kernels(model: ir.Model, *, l2_bytes: int | None = None) -> list[str]:
    """Names of the kernels that the compiled model calls, in order, on a machine with such a cache."""
    machine = machine_of(resolve_target("x86-64-v4"), 1)
    machine = replace(machine, l2_bytes=machine.l2_bytes if l2_bytes is None else l2_bytes)
    graph = prepared(model).graph
    chosen = OPERATORS, tuple(SCALAR), ANCHORS, join_attention, choose_nm
    lowered = lower_graph(graph, machine, *chosen, into=(Kernels(), Weights()))
    return [call.kernel for call in lowered.calls]


def lowered_near(model: ir.Model) -> list[str]:
    """Compare with ONNX Runtime to 1e-5 of each output's largest value; return the operators that are lowered."""
    feed = random_feed(tensor_infos(model.graph.inputs), 0)
    expected = session_for(model, optimize=False).run(None, feed)
    for found, wanted in zip(compile_(model).run(None, feed), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    return operators(prepared(model))


def assert_equal_on(feed: Mapping[str, np.ndarray], model: ir.Model, rtol: float = 2e-6, atol: float = 1e-6) -> None:
    """On this feed the compiled model gives what ONNX Runtime gives with optimisations off, NaN and infinities too."""
    expected = session_for(model, optimize=False).run(None, feed)
    for info, ours, theirs in zip(model.graph.outputs, compile_(model).run(None, feed), expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), info.name
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=info.name or "")


def assert_equal(session: Session, model: ir.Model, seed: int = 0) -> None:
    """The session gives what ONNX Runtime gives with optimisations off."""
    feed = random_feed(session.get_inputs(), seed)
    for ours, theirs in zip(session.run(None, feed), session_for(model, optimize=False).run(None, feed), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6 * float(np.abs(theirs).max(initial=1)) + 1e-6)
