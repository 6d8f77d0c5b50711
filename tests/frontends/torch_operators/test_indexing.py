"""Reading and writing by index: as in ONNX Runtime where the index is in range, and refused where it is not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

import graphprune as gp
from graphprune.errors import InputError, UnsupportedModelError
from tests.frontends.torch_operators.checks import assert_same
from tests.weighted import inferred_model

X = np.arange(6, dtype=np.float32).reshape(2, 3)
CALLS = {
    "Gather": ("int64[1] i", "y = Gather <axis = 1> (x, i)"),
    "GatherElements": ("int64[1,1] i", "y = GatherElements <axis = 1> (x, i)"),
    "GatherND": ("int64[1,2] i", "y = GatherND (x, i)"),
    "ScatterElements": ("int64[1,1] i, float[1,1] u", "y = ScatterElements <axis = 1> (x, i, u)"),
    "ScatterND": ("int64[1,2] i, float[1] u", "y = ScatterND (x, i, u)"),
}


def feed(operator: str, index: int) -> dict[str, np.ndarray]:
    shape = {"Gather": (1,), "GatherElements": (1, 1), "ScatterElements": (1, 1)}.get(operator, (1, 2))
    indices = np.full(shape, index, np.int64)
    if operator.endswith("ND"):
        indices[0, 0] = 0
    updates = np.full((1,) if operator == "ScatterND" else (1, 1), 9, np.float32)
    given: dict[str, np.ndarray] = {"x": X, "i": indices, "u": updates}
    return given if operator.startswith("Scatter") else {"x": X, "i": indices}


def text(operator: str) -> str:
    arguments, call = CALLS[operator]
    shape = {"GatherND": "1", "Gather": "2,1", "GatherElements": "1,1"}.get(operator, "2,3")
    return f"main (float[2,3] x, {arguments}) => (float[{shape}] y) {{ {call} }}"


@pytest.mark.parametrize("index", [0, 2, -1, -3])
@pytest.mark.parametrize("operator", CALLS)
def test_indices_in_range(operator: str, index: int) -> None:
    assert_same(inferred_model(text(operator)), feed(operator, index))


@pytest.mark.parametrize("index", [3, -4, -6, 2**40])
@pytest.mark.parametrize("operator", CALLS)
def test_an_index_out_of_range_is_named(operator: str, index: int) -> None:
    module = gp.to_torch(inferred_model(text(operator)))
    inputs = [torch.from_numpy(array) for array in feed(operator, index).values()]
    with pytest.raises(InputError, match=rf"^{operator}: index {index} is out of range, expected -3 to 2 \[GP125\]$"):
        module(*inputs)


@pytest.mark.parametrize(("index", "result"), [("int64[2] i = {0, 7}", "2,2"), ("int64 i = {7}", "2")])
def test_an_index_of_the_file_is_refused_beforehand(index: str, result: str) -> None:
    model = inferred_model(
        f"""main (float[2,3] x) => (float[{result}] y) <{index}> {{
            [g] y = Gather <axis = 1> (x, i)
        }}"""
    )
    with pytest.raises(UnsupportedModelError, match=r"node 'g' \(Gather\): index 7 is out of range.*GP131"):
        gp.to_torch(model)


def test_an_index_into_a_shape_is_named() -> None:
    model = inferred_model(
        """main (float[N,3] x, int64 i) => (int64 y) {
            s = Shape (x)
            y = Gather (s, i)
        }"""
    )
    with pytest.raises(InputError, match=r"Gather: index 2 is out of range, expected -2 to 1 \[GP125\]"):
        gp.to_torch(model)(torch.ones(4, 3), torch.tensor(2))


@pytest.mark.parametrize("shape", [(2, 1, 1), (7,), (3, 2)])
def test_a_condition_of_another_shape_is_read_in_order(shape: tuple[int, ...]) -> None:
    extents = ",".join(map(str, shape))
    text = f"g (float[2,3] x, bool[{extents}] c) => (float[a,3] y) {{ y = Compress<axis=0>(x, c) }}"
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    condition = np.arange(np.prod(shape)).reshape(shape) % 2 == 1
    assert_same(model, {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "c": condition})


def test_a_number_that_is_not_zero_has_one_place() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 20]> g (float x) => (int64[a,b] y) { y = NonZero(x) }'
    )
    assert_same(model, {"x": np.array(3, np.float32)})
