"""Whether two sides can be compared at all, and the inputs that both of them take."""

from __future__ import annotations

from graphprune.errors import VerificationError
from graphprune.verification.sides import OpenSide
from graphprune_runtime.interface import Dim, TensorInfo


def check_interfaces(reference: OpenSide, candidate: OpenSide) -> None:
    """Check that names, order and element types of inputs, and names and order of outputs, agree.

    Raises:
        VerificationError: names what disagrees.
    """
    inputs = {info.name: info for info in reference.session.get_inputs()}
    others = {info.name: info for info in candidate.session.get_inputs()}
    if inputs.keys() != others.keys():
        raise VerificationError(
            f"inputs are {sorted(others)}, expected {sorted(inputs)} as in the reference", code="GP564"
        )
    for name, info in inputs.items():
        if not _compatible(info, others[name]):
            raise VerificationError(f"input is {others[name]}, expected {info} as in the reference", code="GP564")
    expected = [info.name for info in reference.session.get_outputs()]
    actual = [info.name for info in candidate.session.get_outputs()]
    if expected != actual:
        raise VerificationError(f"outputs are {actual}, expected {expected} as in the reference", code="GP565")


def merged_inputs(reference: OpenSide, candidate: OpenSide) -> list[TensorInfo]:
    """The reference's inputs, with the extents that only the candidate knows."""
    others = {info.name: info for info in candidate.session.get_inputs()}
    return [
        TensorInfo(
            info.name,
            tuple(_merged(a, b) for a, b in zip(info.shape, others[info.name].shape, strict=True)),
            info.dtype,
        )
        for info in reference.session.get_inputs()
    ]


def _compatible(one: TensorInfo, other: TensorInfo) -> bool:
    if one.dtype != other.dtype or len(one.shape) != len(other.shape):
        return False
    fixed = [pair for pair in zip(one.shape, other.shape, strict=True) if all(isinstance(dim, int) for dim in pair)]
    return all(a == b for a, b in fixed)


def _merged(one: Dim, other: Dim) -> Dim:
    return other if not isinstance(one, int) and isinstance(other, int) else one
