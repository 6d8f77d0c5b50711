"""From a model to a session: fix its shapes, normalise it, pack its weights, hand it to a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphprune.backends.base import get_backend, tensor_infos
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.graph.arguments import check_model
from graphprune.passes.base import run_pass
from graphprune.passes.fix_input_shapes import FixInputShapes
from graphprune.passes.normalize import normalize
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, get_stage
from graphprune.targets.target import resolve_target
from graphprune_runtime.interface import Session
from graphprune_runtime.loading import check_threads

if TYPE_CHECKING:
    import onnx_ir as ir

FEWEST_ZEROS = 0.1
"""The share of zeros below which no sparse kernel is faster, whatever the pattern."""


def compile(  # noqa: A001 - it is the verb of the public API: `graphprune.compile`
    model: ir.Model,
    target: str = "native",
    threads: int = 1,
    backend: str = "tvm",
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    tune: str = "none",
) -> Session:
    """Compile `model` for one processor.

    Each weight is given to the kernel that is fastest for its zeros, wherever these come from; `kernels` of a session
    of `tvm` says which, and why. The model itself stays as it is.

    Args:
        model: DENSE, SPARSE or PACKED.
        target: a name of `graphprune.targets.target`; `native` is this machine's processor.
        threads: how many threads a run uses.
        backend: `tvm`, or `onnxruntime`, which takes the model as it is.
        tune: how kernels are chosen: `none`, by estimate; `quick`, by measuring those that may be the fastest; `full`,
            by measuring all, and longer. What was measured is kept in the user's cache folder.
        input_shapes: an extent for every dimension of the inputs listed, where the model leaves some open.

    Raises:
        InputError: `model` is no model, an option is out of range, or a dimension is open that `tvm` needs.
        UnsupportedModelError: the model holds what the backend cannot lower.
        BackendError: the target or the backend is unknown, or building failed.
    """
    check_model("compile", model)
    check_threads(threads)
    chosen_backend, chosen_target = get_backend(backend), resolve_target(target)
    model = with_shapes(model, input_shapes)
    if backend != "onnxruntime":
        model = lowerable(model)
    return chosen_backend.compile(model, chosen_target, threads, tune)


def with_shapes(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None) -> ir.Model:
    """The model with the extents of the inputs listed."""
    if not input_shapes:
        return model
    shapes = tuple((name, tuple(shape)) for name, shape in input_shapes.items())
    return run_pass(FixInputShapes(shapes=shapes), model).model


def lowerable(model: ir.Model) -> ir.Model:
    """The packed form of `model`, every shape of which is static."""
    _check_inputs(model)
    stage = get_stage(model)
    if stage is Stage.MASKED:
        raise UnsupportedModelError("the model is in stage masked, harden its masks before compiling", code="GP533")
    if stage is Stage.PACKED:
        model = run_pass(UnpackWeights(), model).model  # a normalisation is folded into the weight before it
    packed = PackWeights(layout="rows", min_sparsity=FEWEST_ZEROS)  # the backend chooses again, weight by weight
    return run_pass(packed, normalize(model).model).model


def _check_inputs(model: ir.Model) -> None:
    infos = tensor_infos(model.graph.inputs)
    open_inputs = [info for info in infos if not all(isinstance(dim, int) for dim in info.shape)]
    if open_inputs:
        listed = ", ".join(str(info) for info in open_inputs)
        first = open_inputs[0]
        example = "x".join(str(dim) if isinstance(dim, int) else "1" for dim in first.shape)
        raise InputError(
            f"open dimensions in {listed}; fix them with --input-shape {first.name}:{example} "
            "(input_shapes in Python), each extent as you need it",
            code="GP534",
        )
    for info in infos:
        if 0 in info.shape:
            raise UnsupportedModelError(f"input {info} has no elements", code="GP535")
