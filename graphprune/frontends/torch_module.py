"""Turn a torch model into an `onnx_ir.Model` whose initializers carry the names of `state_dict()`."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
from onnxscript import optimizer

from graphprune.errors import GraphPruneError, InputError, UnsupportedModelError, torch_is_missing
from graphprune.frontends.quantized_constants import fold_parameters, fold_quantized_constants
from graphprune.frontends.quantizers import recognize_quantizers
from graphprune.frontends.quiet import quiet
from graphprune.frontends.torch_origin import origin_of
from graphprune.frontends.well_formed import infer_or_refuse
from graphprune.frontends.widening import widen
from graphprune.masked.calls import verify_mask_calls

if TYPE_CHECKING:
    import torch

_TORCH_METADATA_PREFIX = "pkg."
_FOLDED_BYTES = 2**20  # scaffolding is far smaller; what is larger may be a table that is better computed
_SHAPE_OPERATORS = frozenset({"Shape", "Size"})


def from_torch(
    module: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    dynamic_shapes: object = None,
) -> ir.Model:
    """Export `module` to ONNX in inference mode, through `torch.onnx.export(dynamo=True)`.

    The graph is exported without torch's optimiser, which folds BatchNorm into a convolution under the parameter's own
    name: here every initializer `n` holds `module.state_dict()[n]`. A parameter under several names keeps one of them.
    Constants that the exporter computes with nodes (axes, shapes, the zero bias of a convolution) become initializers.
    Weights are copied, so training the module later does not change the model, and the module keeps its mode.
    The soft masks of a module that `to_torch` made are calls of their functions again, in stage masked. Quantizers,
    torch's or arithmetic that rounds, become QuantizeLinear and DequantizeLinear with the scales of now; of weights
    behind them only the integers stay, as initializers `n_quantized`.

    Args:
        module: A module (a `torch.fx.GraphModule` is one), or an exported program in the mode it was captured in.
        args: Example inputs, as for calling the module; they are run through it once.
        kwargs: Example keyword inputs.
        dynamic_shapes: Which dimensions stay symbolic, as for `torch.export.export`; all others become static.

    Returns:
        A model with shapes inferred.

    Raises:
        GraphPruneError: torch is not installed (extra `train`). [GP122]
        InputError: `module` is of another type, or an exported program came with inputs or dynamic shapes. [GP120]
        UnsupportedModelError: The export failed; the cause is named. [GP121] A soft mask was changed so that it no
            longer fits. [GP360 to GP364]
        PreconditionError: The module is under masks that follow its weights; finalize their pruner first. [GP722] A
            fake quantizer has seen no value. [GP148]
    """
    _require_torch()
    import torch

    from graphprune.frontends.torch_fake_quantizers import verify_observed

    if isinstance(module, torch.nn.Module):
        verify_observed(module)
        origin = origin_of(module)
        if dynamic_shapes is None and origin is not None:
            dynamic_shapes = origin.dynamic_shapes()
        model = exported(module, args, kwargs, dynamic_shapes)
        fold_quantized_constants(model)
        return model
    program: object = module
    if not isinstance(program, torch.export.ExportedProgram):
        kinds = "a torch.nn.Module, torch.fx.GraphModule or torch.export.ExportedProgram"
        raise InputError(f"expected {kinds}, got {type(program).__name__}", code="GP120")
    if args or kwargs or dynamic_shapes is not None:
        raise InputError("an exported program has inputs and dynamic shapes of its own, give none", code="GP120")
    model = _cleaned(_export(program, (), {}, None))
    fold_quantized_constants(model)
    return model


def exported(
    module: torch.nn.Module,
    args: Sequence[object],
    kwargs: Mapping[str, object] | None = None,
    dynamic_shapes: object = None,
    *,
    widened: bool = False,
) -> ir.Model:
    """Do what `from_torch` does for modules, with no dimension open that `dynamic_shapes` does not name.

    Where it is `widened`, what is bfloat16 in the module is float32 in the model.

    Raises:
        UnsupportedModelError: The export failed; the cause is named. [GP121]
    """
    with _inference_mode_of(module):
        model = _export(module, tuple(args), dict(kwargs or {}), dynamic_shapes)
    if widened:
        widen(model)
    model = _cleaned(model)
    origin = origin_of(module)
    if origin is not None:
        origin.restore(model)
    return model


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise torch_is_missing(error) from error


@contextlib.contextmanager
def _inference_mode_of(module: torch.nn.Module) -> Iterator[None]:
    """Put `module` in eval mode and give every submodule its own mode back afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training


def _export(
    program: torch.nn.Module | torch.export.ExportedProgram,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    dynamic_shapes: object,
) -> ir.Model:
    from torch import onnx

    export: Callable[..., torch.onnx.ONNXProgram | None] = onnx.export
    from graphprune.frontends import torch_fake_quantizers, torch_masks

    settings = {"kwargs": kwargs, "dynamic_shapes": dynamic_shapes, "optimize": False, "verbose": False}
    settings["custom_translation_table"] = torch_masks.translations() | torch_fake_quantizers.translations()
    try:
        with quiet("torch.onnx"), torch_fake_quantizers.fixed_ranges(program):
            exported = export(program, args, dynamo=True, **settings)
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, GraphPruneError):
            raise cause from error
        message = f"{type(program).__name__} cannot be exported to ONNX: {_first_line(cause)}"
        raise UnsupportedModelError(message, code="GP121") from error
    if exported is None:
        raise UnsupportedModelError(f"{type(program).__name__}: the exporter gave no model", code="GP121")
    torch_masks.adopt_masks(exported.model)
    return exported.model


def _cause(error: BaseException) -> BaseException:
    """The innermost exception: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None and not isinstance(error, GraphPruneError):
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _cleaned(model: ir.Model) -> ir.Model:
    """Own the weights, drop what only torch can use, and fold the exporter's scaffolding but no weight."""
    for name, value in model.graph.initializers.items():
        if value.const_value is not None:
            array = np.array(value.const_value.numpy())
            value.const_value = ir.Tensor(array, dtype=value.const_value.dtype, name=name)
    _rename_clashes(model)
    _strip_torch_metadata(model)
    weights = set(model.graph.initializers.values())
    with quiet("onnxscript"), quiet("onnx_ir"):
        infer_or_refuse(model, "export", "GP121")
        optimizer.fold_constants(
            model,
            input_size_limit=_FOLDED_BYTES,
            output_size_limit=_FOLDED_BYTES,
            should_fold=lambda node: False if _reads_values(node, weights) else None,
        )
        common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        common_passes.RemoveUnusedNodesPass()(model)
        infer_or_refuse(model, "export", "GP121")
    recognize_quantizers(model)
    fold_parameters(model)
    infer_or_refuse(model, "export", "GP121")
    verify_mask_calls(model)
    return model


def _rename_clashes(model: ir.Model) -> None:
    """Keep names of weights: one may be called `val_7` like a value that the exporter named."""
    taken = {*model.graph.initializers, *(output.name for node in model.graph for output in node.outputs)}
    free = (name for number in itertools.count() if (name := f"value_{number}") not in taken)
    for node in model.graph:
        for output in node.outputs:
            if output.name in model.graph.initializers:
                output.name = next(free)


def _reads_values(node: ir.Node, weights: set[ir.Value]) -> bool:
    return node.op_type not in _SHAPE_OPERATORS and any(value in weights for value in node.inputs)


def _strip_torch_metadata(model: ir.Model) -> None:
    # The exporter records stack traces, with the paths of the machine that exported.
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    values = [*model.graph.inputs, *model.graph.initializers.values(), *(out for node in nodes for out in node.outputs)]
    properties_of_all = [model.metadata_props, model.graph.metadata_props]
    properties_of_all += [owner.metadata_props for owner in nodes] + [owner.metadata_props for owner in values]
    for properties in properties_of_all:
        for key in [key for key in properties if key.startswith(_TORCH_METADATA_PREFIX)]:
            del properties[key]
