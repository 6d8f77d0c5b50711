"""From a model with static shapes to its programs: one for all of it, or one for each piece that has kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphprune.backends.base import Variant, open_dimensions, tensor_infos
from graphprune.backends.tvm.batch.split import open_batch, split_batch
from graphprune.backends.tvm.building.build import Program
from graphprune.backends.tvm.lowering.graph import lower_graph
from graphprune.backends.tvm.operators import ANCHORS, OPERATORS
from graphprune.backends.tvm.operators.attention_groups import join_attention
from graphprune.backends.tvm.operators.nm import choose_nm
from graphprune.backends.tvm.operators.scalar import SCALAR
from graphprune.backends.tvm.operators.support import refusal
from graphprune.backends.tvm.pieces.extraction import compute_outputs, extract_parts
from graphprune.backends.tvm.pieces.hosting import host, whole_program
from graphprune.backends.tvm.pieces.partition import partition
from graphprune.backends.tvm.rewrites.batch_products import batch_products
from graphprune.backends.tvm.rewrites.packing import pack_weights
from graphprune.backends.tvm.rewrites.prepare import prepare, prepare_partly
from graphprune.errors import UnsupportedModelError
from graphprune_runtime.description import BatchNote, ProgramNote
from graphprune_runtime.hosted import HostedPiece
from graphprune_runtime.interface import TensorInfo

if TYPE_CHECKING:
    from graphprune.backends.tvm.building.tuning import Tuner
    from graphprune.backends.tvm.kernels.builder import Machine
    from graphprune.backends.tvm.program.recording import Kernels, Weights


@dataclass(frozen=True)
class LoweredVariant:
    """What is said of a variant, and its programs of code."""

    note: ProgramNote
    programs: Sequence[Program]


@dataclass(frozen=True)
class VariantLowering:
    """Lowers variants one after another; the kernels that they call and their weights are collected."""

    machine: Machine
    tuner: Tuner | None
    kernels: Kernels
    weights: Weights

    def whole(self, variant: Variant) -> LoweredVariant:
        """One program for all of the model.

        Raises:
            UnsupportedModelError: it holds what cannot be lowered.
        """
        prepared = _prepare(variant.model)
        outputs = tuple(tensor_infos(prepared.graph.outputs))
        if variant.open_batch:
            batch = open_batch(prepared, _prepare(variant.open_batch.other), variant)
            outputs = tuple(_with_open_samples(info, variant) for info in outputs)
        else:
            batch = split_batch(prepared, self.machine)
        program = self._lower(prepared.graph, variant.inputs, outputs, batch)
        return LoweredVariant(program.note, [program])

    def in_pieces(self, variant: Variant) -> LoweredVariant:
        """As `whole`, but ONNX Runtime runs the nodes that cannot be lowered, where there are any.

        Raises:
            InputError: there are, and the number of samples is open.
            UnsupportedModelError: no node can be lowered, or a value cannot pass between two pieces.
        """
        prepared, refused = prepare_partly(variant.model, _refusal)
        if not refused:
            return self.whole(variant)
        if variant.open_batch:
            infos = [info for info in variant.inputs if not all(isinstance(dim, int) for dim in info.shape)]
            raise open_dimensions(infos, "since some nodes run on ONNX Runtime")
        compute_outputs(prepared.graph)
        parts = partition(prepared.graph, refused)
        if all(part.hosted for part in parts):
            raise UnsupportedModelError("no node of the model can be lowered, run it on ONNX Runtime", code="GP495")
        pieces, programs = list[ProgramNote | HostedPiece](), list[Program]()
        for part, model in zip(parts, extract_parts(prepared, parts), strict=True):
            if part.hosted:
                pieces.append(host(model, part, refused, self.weights))
            else:
                lowered = self.whole(Variant.of(model))
                pieces.append(lowered.note)
                programs += lowered.programs
        return LoweredVariant(whole_program(variant.inputs, tensor_infos(prepared.graph.outputs), pieces), programs)

    def _lower(
        self, graph: ir.Graph, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], batch: BatchNote
    ) -> Program:
        batch_products(graph)
        threads = 1 if (batch.samples or 1) > 1 else self.machine.threads  # samples have a thread each
        machine, into = replace(self.machine, threads=threads), (self.kernels, self.weights)
        choices = join_attention, choose_nm, self.tuner
        lowered = lower_graph(graph, machine, OPERATORS, tuple(SCALAR), ANCHORS, *choices, into=into)
        notes = tuple(lowered.kernels), tuple(lowered.calls), tuple(lowered.layouts)
        return Program(lowered.entry, ProgramNote(tuple(inputs), tuple(outputs), batch, *notes))


def _prepare(model: ir.Model) -> ir.Model:
    return pack_weights(prepare(model, _refusal), _refusal)


def _refusal(node: ir.Node) -> str | None:
    return refusal(node, OPERATORS)


def _with_open_samples(info: TensorInfo, variant: Variant) -> TensorInfo:
    """An output of an open number of samples, which is called what the inputs call it."""
    symbol = next(each.shape[0] for each in variant.inputs if each.shape and not isinstance(each.shape[0], int))
    return TensorInfo(info.name, (symbol, *info.shape[1:]), info.dtype)
