"""Read and write ONNX files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphprune.errors import GraphPruneError, ModelFileError
from graphprune.files import atomic_write
from graphprune.frontends.attributes import check_attributes
from graphprune.frontends.declared import check_declared
from graphprune.frontends.external_data import (
    anchor_external_data,
    check_inline_data,
    data_files,
    data_path,
    externalize,
    initializers,
    inline,
    is_written_for,
)
from graphprune.frontends.opset import modernize
from graphprune.frontends.quantization import check_quantization
from graphprune.frontends.quantized_constants import fold_quantized_constants
from graphprune.frontends.quiet import quiet
from graphprune.frontends.sparse_initializers import write_out_sparse
from graphprune.frontends.well_formed import check_origin, check_well_formed
from graphprune.graph.arguments import check_model
from graphprune.graph.nodes import all_nodes

SUFFIX = ".onnx"
_MIN_IR_VERSION = 8  # before 4, every initializer had to be an input as well; before 8, there were no functions
PROTOBUF_LIMIT = 2**31 - 1
_GRAPH_ALLOWANCE = 64 * 2**20


def load(path: str | os.PathLike[str]) -> ir.Model:
    """Read an ONNX file and bring it to the form that the rest of the package expects.

    Weights in external data stay on disk and are read whenever they are used. Opsets from 7 on are accepted and
    those below 18 converted to 18. Initializers are no longer listed among the graph's inputs, and a node without a
    name gets that of its first output. Sparse tensors are written out, constants that QuantizeLinear reads
    become integers, and an extent of -1 is an open one. Functions
    and subgraphs are kept (functions of a file below 18 are inlined), and so are operators that nobody here knows.

    Args:
        path: A binary `.onnx` file.

    Returns:
        A checked model of IR version 8 or newer.

    Raises:
        ModelFileError: The file cannot be read [GP101], is not ONNX [GP102], or its external data is missing or short
            [GP103], outside the model's folder [GP104], or of another size than its tensor [GP105], or a sparse
            tensor is damaged [GP142].
        UnsupportedModelError: An extent is negative [GP140], a value is a map [GP141], a sparse tensor is too large
            [GP143], the graph is ill-formed [GP110], its opset is out of range [GP111], a call of a packed weight or a
            mask lacks its function [GP112], an operator has no conversion to opset 18 [GP113], an attribute that says
            yes or no does neither [GP387], or integers have a scale [GP146] or zero point [GP147] that is none.
    """
    source = Path(path)
    with quiet("onnx_ir"), _damage_named(source):
        model = _parse(source)
        check_origin(model, source)
        anchor_external_data(model, source)
        check_inline_data(model)
        check_attributes(model, source)
        common_passes.RemoveInitializersFromInputsPass()(model)
        model.ir_version = max(model.ir_version, _MIN_IR_VERSION)
        _name_nodes(model)
        check_well_formed(model, source)
        check_quantization(model, source)
        model = modernize(model, source)
        fold_quantized_constants(model)
        return model


def save(model: ir.Model, path: str | os.PathLike[str], *, limit: int = PROTOBUF_LIMIT - _GRAPH_ALLOWANCE) -> None:
    """Write `model` to an ONNX file, atomically; weights of more than `limit` bytes together go to a file beside it.

    That file is named after its content, `NAME-<hash>.data`, so the earlier model and its data stay whole until the new
    model takes the name. Data that the replaced file had from an earlier `save` is then removed, unless `model` reads
    it: `model` is not changed, and keeps its tensors where they are.

    Args:
        model: The model to write.
        path: The file, ending in `.onnx`.
        limit: Bytes of weights above which external data is written (protobuf cannot hold 2 GiB).

    Raises:
        InputError: `model` is no model [GP536].
        ModelFileError: The name does not end in `.onnx` [GP102], the file cannot be written [GP106], or what is not a
            weight exceeds what protobuf can hold [GP107].
    """
    check_model("save", model)
    target = Path(path).absolute()
    _check_suffix(target)
    copy = model.clone()
    earlier = _data_written_for(target)
    new: set[Path] = set()
    try:
        if sum(tensor.nbytes for _, tensor in initializers(copy)) > limit:
            beside = data_path(copy, target)
            new = set() if beside.exists() else {beside}
            externalize(copy, beside)
        else:
            inline(copy)
        data = _serialized(copy, target)
        with atomic_write(target) as file:
            file.write(data)
    except BaseException:
        _remove(new)
        raise
    _remove(earlier - data_files(copy) - data_files(model))


def _remove(paths: set[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _parse(source: Path) -> ir.Model:
    _check_suffix(source)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read '{source}': {error.strerror}", code="GP101") from error
    if not data:
        raise ModelFileError(f"'{source}' is empty", code="GP102")
    proto = onnx.load_model_from_string(data)
    check_declared(proto, source)
    write_out_sparse(proto, source)
    return ir.from_proto(proto)


@contextlib.contextmanager
def _damage_named(source: Path) -> Iterator[None]:
    """Damaged bytes fail in many ways, in protobuf, onnx and onnx_ir: make each an error that names the file."""
    try:
        yield
    except GraphPruneError:
        raise
    except Exception as error:
        raise ModelFileError(f"'{source}' is not an ONNX model, or damaged: {_cause(error)}", code="GP102") from error


def _cause(error: BaseException) -> str:
    """What went wrong first: readers wrap it in what they were doing."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() != SUFFIX:
        hint = "; graphprune.from_torch takes torch modules" if path.suffix in {".pt", ".pth"} else ""
        raise ModelFileError(f"'{path}': expected a name ending in {SUFFIX}{hint}", code="GP102")


def _name_nodes(model: ir.Model) -> None:
    for node in all_nodes(model):
        if not node.name and node.outputs:
            node.name = node.outputs[0].name


def _data_written_for(target: Path) -> set[Path]:
    """Data files that an earlier `save` to `target` wrote and that the file there still names."""
    if not target.is_file():
        return set()
    try:
        with quiet("onnx_ir"), _damage_named(target):
            model = _parse(target)
            anchor_external_data(model, target)
    except GraphPruneError:
        return set()
    return {path for path in data_files(model) if is_written_for(path, target)}


def _serialized(model: ir.Model, target: Path) -> bytes:
    try:
        return bytes(ir.to_proto(model).SerializeToString())
    except ValueError as error:  # protobuf's own limit
        raise ModelFileError(
            f"cannot write '{target}': the graph without its weights exceeds {PROTOBUF_LIMIT} bytes", code="GP107"
        ) from error
