"""Store sparse weights by their nonzeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.convolution import ConvolutionAttributes, convolution_attributes
from graphprune.analysis.weights import LinearWeight, WeightUse, linear_weights
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.layouts import csr
from graphprune.packed.calls import ROWS_AXIS_KEY, TENSORS
from graphprune.packed.functions import define
from graphprune.passes.base import Equivalence, Pass, PassOutcome, mark
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import drop_unused, graph_of, new_initializer
from graphprune.passes.stage_change import with_stage_change
from graphprune.stages import DOMAIN, Stage, describe

_PACKABLE = {ir.DataType.FLOAT, ir.DataType.DOUBLE}


@dataclass(frozen=True)
class PackWeights(Pass):
    """Replace Conv, MatMul and Gemm of weights with many zeros by packed calls.

    A packed call takes the nonzeros, their columns and the row offsets (`layouts/csr.py`; a row is an output feature)
    in place of the weight. It calls a function of the model that decodes them, so any runtime can run the file. A
    negative zero becomes a positive one; a packed Gemm may add in another order than one without `transB`.

    Run: pack-weights{min_sparsity=0.5}

    Before::

        g (float[N,3] x) => (float[N,2] y) <float[2,3] w = {0, 0, 5, 7, 0, 0}> {
            y = Gemm <transB = 1> (x, w)
        }

    After::

        g (float[N,3] x) => (float[N,2] y) <
            float[2] w_values = {5, 7}, int32[2] w_columns = {2, 0}, int32[3] w_row_offsets = {0, 1, 2}
        > {
            y = graphprune.PackedGemm <weight_shape = [2, 3], alpha = 1.0, beta = 1.0>
                (x, w_values, w_columns, w_row_offsets, "")
        }

    Refuses: GP340 too few zeros, GP341 the operator has no packed form (matrix from the left, `transA`), GP342 the
        padding is only known at run time, or negative, GP343 neither float nor double; and what `linear_weights`
        refuses.

    Raises: GP345 `min_sparsity` out of range, GP344 an operator set older than 16.

    Attributes:
        min_sparsity: The share of zeros from which a weight is packed; below about 0.6 dense kernels win.
    """

    name: ClassVar[str] = "pack-weights"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    produces: ClassVar[Stage | None] = Stage.PACKED
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED
    min_sparsity: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.min_sparsity <= 1:
            raise InputError(f"{self.name}: min_sparsity is {self.min_sparsity}, expected 0 to 1", code="GP345")

    def apply(self, model: ir.Model) -> PassOutcome:
        """Pack weight by weight; a shared one for all its readers or for none."""
        weights, skips = linear_weights(model)
        names = FreshNames(model)
        rewrites: list[Rewrite] = []
        for weight in weights:
            array = weight.tensor.numpy()
            refusal = self._refusal(weight, array)
            if refusal is not None:
                skips.append(refusal)
                continue
            rewrites.append(_Packer(self, model, weight, names).pack(array))
        return PassOutcome(with_stage_change(model, Stage.PACKED, rewrites), tuple(skips))

    def _refusal(self, weight: LinearWeight, array: npt.NDArray[Any]) -> Skip | None:
        zeros = array.size - int(np.count_nonzero(array))
        if zeros < self.min_sparsity * array.size:
            reason = f"{zeros} of {array.size} elements are zero, fewer than {self.min_sparsity:.1%}"
            return Skip("GP340", weight.name, reason)
        if weight.tensor.dtype not in _PACKABLE:
            return Skip("GP343", weight.name, f"holds {weight.tensor.dtype.name.lower()}, expected float or double")
        return next((skip for use in weight.uses if (skip := _use_refusal(weight, use)) is not None), None)


def _use_refusal(weight: LinearWeight, use: WeightUse) -> Skip | None:
    if use.index == 0:
        return Skip("GP341", weight.name, f"{describe(use.node)} multiplies by it from the left")
    if use.node.op_type == "Gemm" and use.node.attributes.get_int("transA", 0) == 1:
        return Skip("GP341", weight.name, f"{describe(use.node)} has transA=1")
    if use.node.op_type == "Conv" and _convolution(weight, use) is None:
        return Skip("GP342", weight.name, f"{describe(use.node)}: its auto_pad gives no padding that is known")
    return None


def _convolution(weight: LinearWeight, use: WeightUse) -> ConvolutionAttributes | None:
    return convolution_attributes(use.node, use.operand_shape(weight.shape)[2:])


@dataclass
class _Packer:
    """Packs one weight for all its readers; readers that see it the same way share the tensors."""

    pass_: PackWeights
    model: ir.Model
    weight: LinearWeight
    names: FreshNames

    def pack(self, array: npt.NDArray[Any]) -> Rewrite:
        packed: dict[tuple[int, tuple[int, ...]], list[ir.Value]] = {}
        for use in self.weight.uses:
            key = (use.rows_axis, use.perm)
            if key not in packed:
                packed[key] = self._store(csr.pack(np.ascontiguousarray(use.matrix(array))))
            self._replace(use, packed[key])
        nbytes = sum(value.const_value.nbytes for values in packed.values() for value in values if value.const_value)
        nonzeros = int(np.count_nonzero(array))
        detail = f"{nonzeros} of {array.size} elements stored, {nbytes} bytes for {array.nbytes}"
        return Rewrite("rows", self.weight.name, detail)

    def _store(self, rows: csr.Rows) -> list[ir.Value]:
        arrays = (rows.values, rows.columns, rows.row_offsets)
        stored = []
        for suffix, array in zip(TENSORS, arrays, strict=True):
            name = self.names.take(f"{self.weight.name}_{suffix}")
            stored.append(new_initializer(self.model.graph, name, ir.tensor(array, name=name)))
        return stored

    def _replace(self, use: WeightUse, stored: list[ir.Value]) -> None:
        old = use.node
        dense = old.inputs[use.index]
        assert dense is not None  # it is the weight
        extra = [] if old.op_type == "MatMul" else [old.inputs[2] if len(old.inputs) > len("XW") else None]
        define(self.model, f"Packed{old.op_type}")
        call = ir.node(
            f"Packed{old.op_type}",
            [old.inputs[0], *stored, *extra],
            self._attributes(use),
            domain=DOMAIN,
            name=old.name,
            doc_string=old.doc_string,
            metadata_props={**old.metadata_props, ROWS_AXIS_KEY: str(use.rows_axis)},
        )
        mark(call, self.pass_)
        ir.convenience.replace_nodes_and_values(graph_of(old), old, [old], [call], old.outputs, call.outputs)
        drop_unused([dense])

    def _attributes(self, use: WeightUse) -> dict[str, Any]:
        node, shape = use.node, use.operand_shape(self.weight.shape)
        if node.op_type == "Conv":
            found = _convolution(self.weight, use)
            assert found is not None  # asked before
            return {"weight_shape": shape, **vars(found)}
        rows = self.weight.shape[use.rows_axis]
        matrix = {"weight_shape": (rows, self.weight.tensor.size // rows)}
        if node.op_type == "MatMul":
            return matrix
        alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
        return {**matrix, "alpha": alpha, "beta": beta}
