from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from graphprune.errors import VerificationError
from graphprune.verification.interface import check_interfaces, merged_inputs
from graphprune.verification.sides import OpenSide
from graphprune_runtime.interface import Dim, TensorInfo


def info(name: str, *shape: Dim, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name, shape, np.dtype(dtype))


@dataclass
class Named:
    """What has inputs and outputs, and cannot run."""

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]

    def get_inputs(self) -> list[TensorInfo]:
        return self.inputs

    def get_outputs(self) -> list[TensorInfo]:
        return self.outputs


def side(*inputs: TensorInfo, outputs: Sequence[str] = ("y", "z")) -> OpenSide:
    return OpenSide("side", Named(list(inputs), [info(name, 1) for name in outputs]), None)  # type: ignore[arg-type] # it does not run


REFERENCE = side(info("x", "n", 3, 4), info("m", 2, dtype="int64"))


def test_open_extents_fit_fixed_ones_and_the_order_of_inputs_does_not_count() -> None:
    other = side(info("m", None, dtype="int64"), info("x", 5, 3, "w"))
    check_interfaces(REFERENCE, other)
    assert merged_inputs(REFERENCE, other) == [info("x", 5, 3, 4), info("m", 2, dtype="int64")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([info("x", "n", 3, 4)], "inputs are .'x'., expected .'m', 'x'.*GP564"),
        ([info("x", "n", 3, 4), info("m", 2, dtype="int64"), info("z", 1)], "inputs are .*'z'.*GP564"),
        ([info("x", "n", 3, 4), info("m", 2, dtype="int32")], "input is m: int32.*expected m: int64.*GP564"),
        ([info("x", 3, 4), info("m", 2, dtype="int64")], "input is x: float32.3, 4.*GP564"),
        ([info("x", "n", 3, 4, 1), info("m", 2, dtype="int64")], "input is x: .*GP564"),
        ([info("x", "n", 3, 5), info("m", 2, dtype="int64")], "input is x: .*GP564"),
        ([info("x", "n", 2, 4), info("m", 2, dtype="int64")], "input is x: .*GP564"),
    ],
)
def test_other_inputs_cannot_be_compared(inputs: list[TensorInfo], message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        check_interfaces(REFERENCE, side(*inputs))


@pytest.mark.parametrize("outputs", [["z", "y"], ["y"], ["y", "z", "w"], ["y", "w"]])
def test_other_outputs_cannot_be_compared(outputs: list[str]) -> None:
    other = side(*REFERENCE.session.get_inputs(), outputs=outputs)
    with pytest.raises(VerificationError, match=r"outputs are .* expected \['y', 'z'\] .*GP565"):
        check_interfaces(REFERENCE, other)
