"""External data: checked against the disk before a model is handed out, written under a name made of its content."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import onnx_ir as ir

from graphprune.analysis.constants import source_of
from graphprune.errors import ModelFileError
from graphprune.files import atomic_write
from graphprune.frontends.data_on_disk import DataOnDisk
from graphprune.graph.nodes import all_nodes

SMALL_BYTES = 4096  # tensors up to here are held in memory: shape inference looks into them
_ALIGNMENT = 4096  # of every tensor in a data file, so that a runtime maps each by whole pages
_DATA_SUFFIX = ".data"


def initializers(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Every initializer that holds a tensor, of the graph and its subgraphs, with that tensor."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value


def anchor_external_data(model: ir.Model, source: Path) -> None:
    """Tie every external tensor to the folder of `source` and check it there; read small ones and those in attributes.

    Raises:
        ModelFileError: Data is missing or short [GP103], outside the folder [GP104], or of another size than its
            tensor [GP105].
    """
    folder = source.absolute().parent
    for value, tensor in initializers(model):
        if isinstance(tensor, ir.ExternalTensor):
            value.const_value = _anchored(tensor, folder)
    for node in all_nodes(model):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
                held = _in_memory(_anchored(attribute.value, folder))
                node.attributes[attribute.name] = ir.AttrTensor(attribute.name, held)


def _anchored(tensor: ir.ExternalTensor, folder: Path) -> ir.TensorProtocol:
    tensor.base_dir = folder
    path = _contained_path(tensor, folder)
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFileError(
            f"tensor '{tensor.name}': external data '{path}' cannot be read: {error.strerror}", code="GP103"
        ) from error
    _check_extent(tensor, path, status.st_mode, status.st_size)
    if status.st_nlink > 1:  # onnx_ir refuses to read it: the second name may lie anywhere
        raise ModelFileError(
            f"tensor '{tensor.name}': external data '{path}' has {status.st_nlink} hard links, expected 1",
            code="GP104",
        )
    held = DataOnDisk(tensor, folder)
    return _in_memory(held) if held.nbytes <= SMALL_BYTES else held


def _contained_path(tensor: ir.ExternalTensor, folder: Path) -> Path:
    location = str(tensor.location)
    path = folder / location
    real = path.resolve()
    if not location or Path(location).is_absolute() or not real.is_relative_to(folder.resolve()):
        raise ModelFileError(
            f"tensor '{tensor.name}': external data '{location}' is outside the model's folder '{folder}'", code="GP104"
        )
    return path


def _check_extent(tensor: ir.ExternalTensor, path: Path, mode: int, size: int) -> None:
    if not stat.S_ISREG(mode):
        raise ModelFileError(f"tensor '{tensor.name}': external data '{path}' is not a regular file", code="GP103")
    offset = tensor.offset or 0
    if tensor.length not in (None, tensor.nbytes) or offset < 0:
        raise ModelFileError(
            f"tensor '{tensor.name}': external data has {tensor.length} bytes at offset {offset}, its shape "
            f"{list(tensor.shape)} of {tensor.dtype} needs {tensor.nbytes}",
            code="GP105",
        )
    if offset + tensor.nbytes > size:
        raise ModelFileError(
            f"tensor '{tensor.name}': external data '{path}' has {size} bytes, expected at least "
            f"{offset + tensor.nbytes}",
            code="GP103",
        )


def check_inline_data(model: ir.Model) -> None:
    """Refuse an initializer inside the file whose bytes do not fill its shape [GP105]."""
    for value, tensor in initializers(model):
        reason = why_unfilled(tensor)
        if reason is not None:
            raise ModelFileError(f"tensor '{value.name}': its bytes do not fill {reason}", code="GP105")


def why_unfilled(tensor: ir.TensorProtocol) -> str | None:
    """Return which shape the elements in the file do not fill, and why, or None; data outside it are left alone."""
    if not isinstance(tensor, ir.TensorProtoTensor | ir.StringTensor):
        return None
    try:
        tensor.numpy()  # a view of the file's bytes
    except (ValueError, TypeError) as error:
        return f"{tensor.dtype}{list(tensor.shape)}: {error}"
    return None


def _in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    array = tensor.numpy().copy()
    return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)


def inline(model: ir.Model) -> None:
    """Make every external initializer of `model` one that is written inside the model file."""
    for value, tensor in initializers(model):
        if isinstance(tensor, ir.ExternalTensor):
            value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)


def data_path(model: ir.Model, target: Path) -> Path:
    """Where the weights of `model` go beside `target`: a name made of their hash, so no earlier file is overwritten."""
    digest = hashlib.blake2b(digest_size=8)
    _write_aligned(_large(model), _Hashing(digest))
    return target.with_name(f"{target.stem}-{digest.hexdigest()}{_DATA_SUFFIX}")


def externalize(model: ir.Model, path: Path) -> None:
    """Write the initializers of `model`, but for small ones, to `path` unless it is there, and point `model` at it."""
    if not path.exists():
        with atomic_write(path) as file:
            _write_aligned(_large(model), file)
    _point_to(model, path)


def _large(model: ir.Model) -> list[ir.TensorProtocol]:
    return [tensor for _, tensor in initializers(model) if tensor.nbytes > SMALL_BYTES]


def _point_to(model: ir.Model, path: Path) -> None:
    """Give large initializers their place in the data file `path`, and small ones one in memory."""
    offset = 0
    for value, tensor in initializers(model):
        if tensor.nbytes > SMALL_BYTES:
            shape = ir.Shape(tensor.shape.numpy())
            value.const_value = ir.ExternalTensor(
                path.name, offset, tensor.nbytes, tensor.dtype, shape=shape, name=value.name or "", base_dir=path.parent
            )
            offset += _padded(tensor.nbytes)
        elif isinstance(tensor, ir.ExternalTensor):
            value.const_value = _in_memory(tensor)


def data_files(model: ir.Model) -> set[Path]:
    """The external data files that the initializers of `model` read."""
    sources = (source_of(tensor) for _, tensor in initializers(model))
    return {Path(tensor.path) for tensor in sources if isinstance(tensor, ir.ExternalTensor)}


def is_written_for(path: Path, target: Path) -> bool:
    """Whether `data_path` gave `path` its name for the model file `target`."""
    name = re.escape(target.stem) + "-[0-9a-f]{16}" + re.escape(_DATA_SUFFIX)
    return path.parent == target.parent and re.fullmatch(name, path.name) is not None


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashing:
    """A file whose content is only hashed."""

    def __init__(self, digest: hashlib.blake2b) -> None:
        self._digest = digest

    def write(self, data: bytes, /) -> None:
        self._digest.update(data)


def _write_aligned(tensors: list[ir.TensorProtocol], file: _Writer) -> None:
    for tensor in tensors:
        if isinstance(tensor, ir.ExternalTensor):
            tensor.tofile(file)  # in pieces: the weights of a large model are never in memory together
        else:
            file.write(tensor.tobytes())
        file.write(bytes(_padded(tensor.nbytes) - tensor.nbytes))


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
