"""Which sets of input shapes a model is compiled for: those that are asked for, or any number of samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from graphprune.backends.base import OpenBatch, Variant, open_dimensions, tensor_infos
from graphprune.errors import UnsupportedModelError
from graphprune.graph.input_shapes import InputShapes, Shape, shape_sets
from graphprune.passes.base import run_pass
from graphprune.passes.fix_input_shapes import FixInputShapes
from graphprune_runtime.interface import Dim, TensorInfo


def make_variants(model: ir.Model, shapes: InputShapes | None) -> list[Variant]:
    """The model for each set of shapes; where they leave the number of samples open, for any.

    Raises:
        InputError: a shape does not fit its input, or another dimension is open.
        UnsupportedModelError: an input has no elements.
    """
    return [_variant(_fixed(model, each)) for each in shape_sets(shapes or {})]


def _fixed(model: ir.Model, shapes: Mapping[str, Shape]) -> ir.Model:
    return run_pass(FixInputShapes(shapes=tuple(shapes.items())), model).model if shapes else model


def _variant(model: ir.Model) -> Variant:
    inputs = tuple(tensor_infos(model.graph.inputs))
    for info in inputs:
        if 0 in info.shape:
            raise UnsupportedModelError(f"input {info} has no elements", code="GP535")
    if all(isinstance(dim, int) for info in inputs for dim in info.shape):
        return Variant.of(model)
    _check_only_samples_are_open(inputs)
    samples, other_samples = itertools.islice(_unused_primes(model), 2)
    first, second = (_with_samples(model, inputs, count) for count in (samples, other_samples))
    return Variant(first, inputs, OpenBatch(samples, other_samples, second))


def _check_only_samples_are_open(inputs: Sequence[TensorInfo]) -> None:
    """Refuse open dimensions that are not the number of samples: the same in the first extents."""
    elsewhere = [info for info in inputs if not all(isinstance(dim, int) for dim in info.shape[1:])]
    symbols = {info.shape[0] for info in inputs if info.shape and not isinstance(info.shape[0], int)}
    if not elsewhere and len(symbols) == 1:
        return
    listed = elsewhere or [info for info in inputs if info.shape and info.shape[0] in symbols]
    raise open_dimensions(listed, "each extent as you need it")


def _with_samples(model: ir.Model, inputs: Sequence[TensorInfo], samples: int) -> ir.Model:
    return _fixed(model, {info.name: _shape_with(info.shape, samples) for info in inputs if not _is_static(info)})


def _is_static(info: TensorInfo) -> bool:
    return all(isinstance(dim, int) for dim in info.shape)


def _shape_with(shape: Sequence[Dim], samples: int) -> Shape:
    return (samples, *(dim for dim in shape[1:] if isinstance(dim, int)))


def _unused_primes(model: ir.Model) -> Iterator[int]:
    """Primes that are no extent in the model, smallest first: what has one as its extent counts samples."""
    results = (value for node in model.graph for value in node.outputs)
    values = itertools.chain(model.graph.inputs, model.graph.initializers.values(), results)
    used = {dim for value in values for dim in value.shape or () if isinstance(dim, int)}
    primes = (n for n in itertools.count(3) if all(n % divisor for divisor in range(2, n)))
    return (prime for prime in primes if prime not in used)
