"""Compiling a model sample by sample, whether that is faster or not."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphprune.backends.tvm.batch import split
from graphprune.backends.tvm.batch.site import BatchAxis
from graphprune.backends.tvm.operators import OPERATORS
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.rewrites.prepare import prepare
from graphprune_runtime.session import CompiledSession
from tests.backends.tvm.graphs import Initializer, compile_, parse


def found_axes(text: str, initializers: dict[str, Initializer] | None = None) -> dict[str, BatchAxis]:
    """Where each value of a graph holds the samples."""
    model = prepare(parse(text, initializers), lambda node: refusal(node, OPERATORS))
    found = split.find_batch_axes(model.graph, split.batch_size(model.graph))
    return {value.name or "": axis for value, axis in found.axes.items()}


def compile_samples(model: ir.Model, threads: int = 1) -> CompiledSession:
    """The model through the backend, sample by sample wherever that is the same function."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "reason_to_keep", lambda *_arguments: None)
        return compile_(model, threads=threads)
