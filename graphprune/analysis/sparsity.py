"""How many values of a tensor are zero, and how many are not finite, counted in small pieces.

External data is read from its file through one buffer instead of being mapped, because mapped pages count as memory of
the process: a 3 GB file costs a megabyte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphprune.analysis.constants import named_constants
from graphprune.analysis.cost import NUMBERS
from graphprune.analysis.quantization import zero_point_of
from graphprune.errors import ModelFileError

_PIECE_BYTES = 2**18  # a piece and its two temporaries stay in the second-level cache

# The bits of infinity. Above them, without the sign, are the NaNs; zero, without the sign, is 0.
_INFINITY = {
    ir.DataType.FLOAT16: 0x7C00,
    ir.DataType.BFLOAT16: 0x7F80,
    ir.DataType.FLOAT: 0x7F80_0000,
    ir.DataType.DOUBLE: 0x7FF0_0000_0000_0000,
}


@dataclass(frozen=True)
class ValueCounts:
    """Counts of the values of one tensor, or of several added up."""

    elements: int = 0
    zeros: int = 0
    nonfinite: int = 0

    @property
    def sparsity(self) -> float:
        """The share of zeros, in [0, 1]; 0 of an empty tensor."""
        return self.zeros / self.elements if self.elements else 0.0

    def __add__(self, other: ValueCounts) -> ValueCounts:
        return ValueCounts(self.elements + other.elements, self.zeros + other.zeros, self.nonfinite + other.nonfinite)


def weight_counts(model: ir.Model) -> dict[str, ValueCounts]:
    """Count the values of every numeric constant of the graph and its subgraphs, by its name in `named_constants`.

    Raises:
        ModelFileError: External data has disappeared or shrunk since the model was loaded. [GP103]
    """
    return {
        name: _count_of(value, tensor)
        for name, (value, tensor) in named_constants(model).items()
        if tensor.dtype != ir.DataType.STRING
    }


def _count_of(value: ir.Value, tensor: ir.TensorProtocol) -> ValueCounts:
    """Count the values of a constant; of a quantized one, the integers that stand for zero."""
    zero = zero_point_of(value)
    if zero is None or not zero.astype(bool).any():
        return count_values(tensor)
    return ValueCounts(tensor.size, int(np.count_nonzero(tensor.numpy() == zero)))


def parameter_counts(model: ir.Model, counts: Mapping[str, ValueCounts] | None = None) -> ValueCounts:
    """Add up the values of all parameters: the constants of floating-point numbers, and quantized weights.

    Args:
        model: The model.
        counts: What `weight_counts` says of it, if that is known already.

    Raises:
        ModelFileError: External data has disappeared or shrunk since the model was loaded. [GP103]
    """
    known = weight_counts(model) if counts is None else counts
    names = [name for name, (_, tensor) in named_constants(model).items() if tensor.dtype in NUMBERS]
    return sum((known[name] for name in names), start=ValueCounts())


def count_values(tensor: ir.TensorProtocol) -> ValueCounts:
    """Count the zeros of either sign, the infinities and the NaNs of a numeric tensor.

    Raises:
        ModelFileError: External data has disappeared or shrunk since the model was loaded. [GP103]
    """
    infinity = _INFINITY.get(tensor.dtype)
    zeros = nonfinite = 0
    for piece in _pieces(tensor):
        if infinity is None:
            zeros += piece.size - int(np.count_nonzero(piece))
        else:
            unsigned = piece.view(f"u{piece.itemsize}")
            doubled = unsigned + unsigned  # the sign overflows away
            zeros += int(np.count_nonzero(doubled == 0))
            nonfinite += int(np.count_nonzero(doubled >= unsigned.dtype.type(2 * infinity)))
    return ValueCounts(math.prod(tensor.shape.numpy()), zeros, nonfinite)


def nonzero_mask(tensor: ir.TensorProtocol) -> npt.NDArray[np.bool_]:
    """Return where the values are not zero, of the tensor's shape: a byte an element is all that is held.

    Raises:
        ModelFileError: External data has disappeared or shrunk since the model was loaded. [GP103]
    """
    pieces = [piece != 0 for piece in _pieces(tensor)]
    return np.concatenate([np.zeros(0, np.bool_), *pieces]).reshape(tensor.shape.numpy())


def _pieces(tensor: ir.TensorProtocol) -> Iterator[npt.NDArray[np.generic]]:
    """Yield the values in order, flat, a piece at a time; a piece is valid until the next one is asked for."""
    if isinstance(tensor, ir.ExternalTensor) and tensor.dtype.itemsize >= 1:
        yield from _file_pieces(tensor)
        return
    flat = np.ascontiguousarray(tensor.numpy()).reshape(-1)
    step = max(1, _PIECE_BYTES // max(1, flat.itemsize))
    for start in range(0, flat.size, step):
        yield flat[start : start + step]


def _file_pieces(tensor: ir.ExternalTensor) -> Iterator[npt.NDArray[np.generic]]:
    dtype = np.dtype(tensor.dtype.numpy())
    buffer = bytearray(_PIECE_BYTES)
    remaining = tensor.nbytes
    try:
        with Path(tensor.path).open("rb", buffering=0) as file:
            file.seek(tensor.offset or 0)
            while remaining:
                wanted = memoryview(buffer)[: min(_PIECE_BYTES, remaining)]
                if file.readinto(wanted) != len(wanted):
                    raise ModelFileError(f"tensor '{tensor.name}': '{tensor.path}' ends too early", code="GP103")
                yield np.frombuffer(wanted, dtype)
                remaining -= len(wanted)
    except OSError as error:
        raise ModelFileError(
            f"tensor '{tensor.name}': cannot read '{tensor.path}': {error.strerror}", code="GP103"
        ) from error
