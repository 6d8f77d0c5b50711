"""From a model to a session: fix its shapes, normalise it, hand it to a backend."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from graphprune.backends.base import Variant, get_backend
from graphprune.compiler.origin import origin_of
from graphprune.compiler.variants import make_variants
from graphprune.errors import InputError, UnsupportedModelError
from graphprune.graph.arguments import check_model
from graphprune.graph.input_shapes import InputShapes, shape_sets
from graphprune.passes.base import run_pass
from graphprune.passes.expand_contrib import ExpandContrib
from graphprune.passes.fix_input_shapes import FixInputShapes
from graphprune.passes.normalize import normalize
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, get_stage
from graphprune.targets.target import resolve_target
from graphprune_runtime.interface import Session

if TYPE_CHECKING:
    import onnx_ir as ir

_LOG = logging.getLogger("graphprune")

FALLBACKS = (None, "onnxruntime")
"""What may run the nodes that cannot be lowered."""

MOST_THREADS = 256
"""That code is compiled for: the file may be for another machine than this."""


def compile(  # noqa: A001 - it is the verb of the public API: `graphprune.compile`
    model: ir.Model,
    target: str = "native",
    threads: int = 1,
    backend: str = "tvm",
    input_shapes: InputShapes | None = None,
    tune: str = "none",
    fallback: str | None = None,
) -> Session:
    """Compile `model` for one processor.

    Each weight is given to the kernel that is fastest for its zeros, wherever these come from; `kernels` of a session
    of `tvm` says which, and why. The model itself stays as it is.

    Args:
        model: DENSE, SPARSE or PACKED.
        target: a name of `graphprune.targets.target`; `native` is this machine's processor.
        threads: how many threads a run uses; more than this machine has are for a file that runs on another one.
        backend: `tvm`, or `onnxruntime`, which takes the model as it is.
        tune: how kernels are chosen: `none`, by estimate; `quick`, by measuring those that may be the fastest; `full`,
            by measuring all, and longer. What was measured is kept in the user's cache folder.
        input_shapes: by input, its shape or several, where the model leaves dimensions open. With several, the first
            of all inputs go together, the second, and so on; a session picks the program by its feed. Where only the
            number of samples is open, and the samples are independent, the session takes any number without them.
        fallback: `onnxruntime` runs the nodes there that `tvm` cannot lower (unknown operators, `If`, `Loop` and
            `Scan`, shapes that depend on values, sequences), in as few pieces as possible, which `pieces` of the
            session's programs list. Whoever loads the file needs ONNX Runtime too. None refuses such nodes.

    Raises:
        InputError: `model` is no model, an option is out of range, or a dimension is open that `tvm` needs.
        UnsupportedModelError: the model holds what the backend cannot lower.
        BackendError: the target or the backend is unknown, or building failed.
    """
    check_model("compile", model)
    check_code_threads(threads)
    if fallback not in FALLBACKS:
        raise InputError(f"fallback is {fallback!r}, expected None or 'onnxruntime'", code="GP496")
    start = time.perf_counter()
    chosen_backend, chosen_target = get_backend(backend), resolve_target(target)
    variants = [_as_it_is(model, input_shapes)] if backend == "onnxruntime" else lowerable_variants(model, input_shapes)
    session = chosen_backend.compile(
        variants, chosen_target, threads, tune, origin_of(model), fallback=fallback is not None
    )
    seconds = time.perf_counter() - start
    _LOG.info("compiled %s for %s in %.1f s", model.graph.name, chosen_target.level, seconds)
    return session


def check_code_threads(threads: int) -> None:
    """Refuse a number of threads that no code is compiled for.

    Raises:
        InputError: `threads` is out of range.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads is {threads}, expected 1 to {MOST_THREADS}", code="GP532")


def lowerable_variants(model: ir.Model, input_shapes: InputShapes | None) -> list[Variant]:
    """The model for each set of shapes, as the TVM backend takes it.

    Raises:
        InputError: a shape does not fit its input, or another dimension is open than the number of samples.
        UnsupportedModelError: an input has no elements, or the model is in training.
    """
    return [_lowerable(variant) for variant in make_variants(model, input_shapes)]


def _as_it_is(model: ir.Model, input_shapes: InputShapes | None) -> Variant:
    """The model for ONNX Runtime, which takes any shape: fixed where one is asked for."""
    sets = shape_sets(input_shapes or {})
    if len(sets) == 1 and sets[0]:
        model = run_pass(FixInputShapes(shapes=tuple(sets[0].items())), model).model
    return Variant.of(model)


def _lowerable(variant: Variant) -> Variant:
    """The variant in the form that is lowered."""
    batch = variant.open_batch
    normal = batch and replace(batch, other=lowerable(batch.other))
    return replace(variant, model=lowerable(variant.model), open_batch=normal)


def lowerable(model: ir.Model) -> ir.Model:
    """The model without packed calls, whose weights the backend packs anew, and normalised.

    Raises:
        UnsupportedModelError: the model is in training.
    """
    stage = get_stage(model)
    if stage is Stage.MASKED:
        raise UnsupportedModelError("the model is in stage masked, harden its masks before compiling", code="GP533")
    if stage is Stage.PACKED:
        model = run_pass(UnpackWeights(), model).model  # a normalisation is folded into the weight before it
    return normalize(run_pass(ExpandContrib(), model).model).model
