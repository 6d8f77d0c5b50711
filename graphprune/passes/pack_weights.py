"""Store sparse weights without their zeros."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.convolution import ConvolutionAttributes, convolution_attributes
from graphprune.analysis.weights import LinearWeight, WeightUse, linear_weights
from graphprune.diagnostics import Rewrite, Skip
from graphprune.errors import InputError
from graphprune.graph.functions import DOMAIN
from graphprune.graph.nodes import describe
from graphprune.packed.calls import ROWS_AXIS_KEY
from graphprune.packed.choice import KNOWN_LAYOUTS, is_layout, pack
from graphprune.packed.forms import WEIGHT
from graphprune.packed.functions import define
from graphprune.packed.weight import PackedWeight
from graphprune.passes.base import Equivalence, Pass, PassOutcome, mark
from graphprune.passes.fresh_names import FreshNames
from graphprune.passes.rewriting import drop_unused, graph_of, new_initializer
from graphprune.passes.stage_change import with_stage_change
from graphprune.stages.stage import Stage

_View = tuple[int, ...]
"""How a reader sees a weight: the order of its axes, that of output features before that of inputs."""

_FLOATING = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_QUANTIZED = {ir.DataType.INT8, ir.DataType.UINT8}


@dataclass(frozen=True)
class PackWeights(Pass):
    """Replace Conv, MatMul and Gemm of weights with many zeros by packed calls.

    A packed call takes arrays of a layout in place of the weight: the nonzeros, their columns and the row offsets of
    compressed rows (`layouts/csr.py`; a row is an output feature), the nonzeros under a bit mask
    (`layouts/bitmask.py`), the slots of N:M groups and their places (`layouts/nm.py`), or blocks (`layouts/blocks.py`).
    It calls a function of the model that decodes them, so any runtime can run the file. A negative zero that is not
    stored becomes a positive one; a packed Gemm may add in another order than one without `transB`. Quantized weights
    and those of recurrent nodes become calls that only decode them: what reads the weight stays as it is.

    Run: pack-weights

    Before::

        g (float[N,4] x) => (float[N,2] y) <float[2,4] w = {5, 7, 0, 0, 0, 0, 0, 0}> {
            y = Gemm <transB = 1> (x, w)
        }

    After::

        g (float[N,4] x) => (float[N,2] y) <float[2] w_values = {5, 7}, uint8[2,1] w_bits = {3, 0}> {
            y = graphprune.PackedMaskGemm <weight_shape = [2, 4], alpha = 1.0, beta = 1.0>
                (x, w_values, w_bits, "")
        }

    Refuses: GP340 too few zeros, GP341 the operator has no packed form (matrix from the left, `transA`, fused),
        GP342 the padding is only known at run time, or negative, GP343 integers of fewer than 8 bits, GP347 more
        nonzeros in a group than the layout keeps, GP348 the layout takes no fewer bytes, GP349 blocks do not divide the
        weight, GP355 its zeros are not stored as 0; and what `linear_weights` refuses.

    Raises: GP345 `min_sparsity` out of range, GP346 an unknown layout, GP344 an operator set older than 16.

    Attributes:
        min_sparsity: The share of zeros from which a weight is stored in rows, where below 0.5 it takes more bytes, or
            under a bit mask. N:M groups and blocks need no such share, only fewer bytes than the dense weight.
        layout: `rows`; `bitmask`; an N:M form such as `2:4`, for the weights that conform to it; blocks of outputs by
            input channels, such as `block 4x1`, for the weights that they divide; or `auto`, for each weight the
            smallest of rows, bit mask, N:M form with M of 2, 4, 8, 16 or 32, and common sizes of blocks.
    """

    name: ClassVar[str] = "pack-weights"
    consumes: ClassVar[frozenset[Stage]] = frozenset({Stage.DENSE, Stage.SPARSE})
    produces: ClassVar[Stage | None] = Stage.PACKED
    equivalence: ClassVar[Equivalence] = Equivalence.REASSOCIATED
    min_sparsity: float = 0.6
    layout: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.min_sparsity <= 1:
            raise InputError(f"{self.name}: min_sparsity is {self.min_sparsity}, expected 0 to 1", code="GP345")
        if not is_layout(self.layout):
            given = reprlib.repr(self.layout)
            raise InputError(f"{self.name}: layout is {given}, expected {KNOWN_LAYOUTS}", code="GP346")

    def apply(self, model: ir.Model) -> PassOutcome:
        """Pack weight by weight; a shared one for all its readers or for none."""
        weights, skips = linear_weights(model)
        names = FreshNames(model)
        rewrites: list[Rewrite] = []
        for weight in weights:
            packed = self._packed(weight)
            if isinstance(packed, Skip):
                skips.append(packed)
            else:
                rewrites += _Packer(self, model, weight, names).replace(packed)
        return PassOutcome(with_stage_change(model, Stage.PACKED, rewrites), tuple(skips))

    def _packed(self, weight: LinearWeight) -> dict[_View, PackedWeight] | Skip:
        """The weight as each reader sees it, packed; readers that see it the same way share it.

        A dense weight is reported as that, whatever its readers are.
        """
        if (refusal := _type_refusal(weight)) is not None:
            return refusal
        array, is_whole = weight.tensor.numpy(), _is_decoded_whole(weight)
        found: dict[_View, PackedWeight] = {}
        for use in weight.uses[:1] if is_whole else weight.uses:
            if _view(use) in found:
                continue
            packed = pack(_operand(use, array), self.layout, self.min_sparsity)
            if not isinstance(packed, PackedWeight):
                code, reason = packed
                return Skip(code, weight.name, reason)
            found[_view(use)] = packed
        return found if is_whole else _readers_refusal(weight) or found


def why_not_multiplied(weight: LinearWeight) -> Skip | None:
    """Return why no packed call multiplies by the weight, whatever its zeros are, or None: its type, or a reader."""
    return _type_refusal(weight) or _readers_refusal(weight)


def _is_decoded_whole(weight: LinearWeight) -> bool:
    """Whether a call returns the weight as it was, for whatever reads it: no packed call multiplies by one like it."""
    is_other = any(use.is_recurrent or use.is_transposed or use.groups > 1 for use in weight.uses)
    return weight.quantization is not None or is_other


def _type_refusal(weight: LinearWeight) -> Skip | None:
    name, how = weight.tensor.dtype.name.lower(), weight.quantization
    if weight.tensor.dtype not in _FLOATING | _QUANTIZED:
        return Skip("GP343", weight.name, f"holds {name}, expected floating-point numbers or integers of 8 bits")
    if how is not None and how.zero_point.any():
        point = how.zero_point[how.zero_point != 0].flat[0]
        return Skip("GP355", weight.name, f"holds {name} in which {point} stands for zero, expected 0")
    return None


def _readers_refusal(weight: LinearWeight) -> Skip | None:
    return next((skip for use in weight.uses if (skip := _use_refusal(weight, use)) is not None), None)


def _view(use: WeightUse) -> _View:
    if use.node.op_type in {"Gemm", "MatMul"}:
        return use.rows_axis, use.input_axis
    return (use.rows_axis, use.input_axis, *use.perm[2:]) if use.is_transposed else use.perm


def _operand(use: WeightUse, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[M, C, *kernel] of a convolution, transposed or not, else [output features, inputs], those of all gates."""
    seen = np.ascontiguousarray(array.transpose(_view(use)))
    return seen.reshape(-1, seen.shape[-1]) if use.is_recurrent else seen


def _use_refusal(weight: LinearWeight, use: WeightUse) -> Skip | None:
    if use.node.domain:
        return Skip("GP341", weight.name, f"{describe(use.node)} has no packed form; run the pass expand-contrib first")
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
    """Replaces the readers of one weight by packed calls."""

    pass_: PackWeights
    model: ir.Model
    weight: LinearWeight
    names: FreshNames

    def replace(self, packed: dict[_View, PackedWeight]) -> list[Rewrite]:
        nbytes = self.weight.tensor.nbytes
        stored = {view: self._store(each) for view, each in packed.items()}
        if _is_decoded_whole(self.weight):
            ((view, each),) = packed.items()
            self._replace_whole(view, each, stored[view])
        else:
            for use in self.weight.uses:
                self._replace(use, packed[_view(use)], stored[_view(use)])
        return [Rewrite(each.layout, self.weight.name, _detail(each, nbytes)) for each in packed.values()]

    def _store(self, packed: PackedWeight) -> list[ir.Value]:
        stored = []
        for tensor, array in zip(packed.tensors, packed.arrays, strict=True):
            name = self.names.take(f"{self.weight.name}_{tensor}")
            stored.append(new_initializer(self.model.graph, name, ir.tensor(array, name=name)))
        return stored

    def _replace_whole(self, view: _View, packed: PackedWeight, stored: list[ir.Value]) -> None:
        """Let all that reads the weight read what a call decodes."""
        value = self.weight.value
        name = self.names.take(f"{self.weight.name}_decoded")
        define(self.model, packed.prefix + WEIGHT)
        shape = {"stored_shape": [self.weight.shape[axis] for axis in view], "perm": np.argsort(view).tolist()}
        attributes = {"weight_shape": packed.shape, **packed.attributes, **shape}
        call = ir.node(packed.prefix + WEIGHT, stored, attributes, domain=DOMAIN, name=name)
        call.outputs[0].name = name
        mark(call, self.pass_)
        readers = {node for node, _ in value.uses()}
        self.model.graph.insert_before(next(node for node in self.model.graph if node in readers), call)
        value.replace_all_uses_with(call.outputs[0])
        drop_unused([value])

    def _replace(self, use: WeightUse, packed: PackedWeight, stored: list[ir.Value]) -> None:
        old = use.node
        dense = old.inputs[use.index]
        assert dense is not None  # it is the weight
        extra = [] if old.op_type == "MatMul" else [old.inputs[2] if len(old.inputs) > len("XW") else None]
        define(self.model, packed.prefix + old.op_type)
        call = ir.node(
            packed.prefix + old.op_type,
            [old.inputs[0], *stored, *extra],
            {"weight_shape": packed.shape, **packed.attributes, **self._attributes(use)},
            domain=DOMAIN,
            name=old.name,
            doc_string=old.doc_string,
            metadata_props={**old.metadata_props, ROWS_AXIS_KEY: str(use.rows_axis)},
        )
        mark(call, self.pass_)
        ir.convenience.replace_nodes_and_values(graph_of(old), old, [old], [call], old.outputs, call.outputs)
        drop_unused([dense])

    def _attributes(self, use: WeightUse) -> dict[str, Any]:
        """Those of the operator itself."""
        if use.node.op_type == "Conv":
            found = _convolution(self.weight, use)
            assert found is not None  # asked before
            return dict(vars(found))
        names = ("alpha", "beta") if use.node.op_type == "Gemm" else ()
        return {name: use.node.attributes.get_float(name, 1.0) for name in names}


def _detail(packed: PackedWeight, nbytes: int) -> str:
    elements = math.prod(packed.shape)
    return f"{packed.arrays[0].size} of {elements} elements stored, {packed.nbytes} bytes for {nbytes}"
