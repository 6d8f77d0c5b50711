"""Counting zeros and values that are not finite."""

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphprune.analysis import sparsity
from graphprune.analysis.sparsity import ValueCounts, count_values, nonzero_mask, weight_counts
from graphprune.errors import ModelFileError
from tests.weighted import weighted_model

FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16]


def external(path: Path, array: np.ndarray, offset: int = 0) -> ir.ExternalTensor:
    path.write_bytes(bytes(offset) + array.tobytes())
    dtype = ir.DataType.from_numpy(array.dtype)
    return ir.ExternalTensor(
        path.name, offset, array.nbytes, dtype, shape=ir.Shape(array.shape), name="w", base_dir=path.parent
    )


@pytest.mark.parametrize("dtype", FLOATS)
def test_zeros_of_both_signs_and_what_is_not_finite_are_counted(dtype: type) -> None:
    values = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan, np.finfo(np.float16).tiny]
    assert count_values(ir.Tensor(np.array(values, dtype))) == ValueCounts(elements=9, zeros=2, nonfinite=4)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_extremes_of_a_type_are_finite_and_not_zero(dtype: type) -> None:
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}").type
    infinity = np.array(np.inf, dtype).view(bits)
    values: np.ndarray = np.array([infinity - bits(1), bits(1)], bits).view(dtype)
    assert count_values(ir.Tensor(values)) == ValueCounts(elements=2)


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=st.sampled_from([0.0, -0.0, 1.5, np.inf, np.nan, 1e-45])))
def test_the_counts_are_those_of_numpy(array: np.ndarray) -> None:
    expected = ValueCounts(array.size, int((array == 0).sum()), int((~np.isfinite(array)).sum()))
    assert count_values(ir.Tensor(array)) == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.bool_, ml_dtypes.int4])
def test_integers_are_counted(dtype: type) -> None:
    assert count_values(ir.Tensor(np.array([0, 1, 0, 1, 1], dtype))) == ValueCounts(elements=5, zeros=2)


def test_the_mask_is_where_the_values_are_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsity, "_PIECE_BYTES", 16)  # several pieces
    array = np.array([[0.0, -0.0, np.nan], [1e-45, np.inf, 2], [0, 0, 3]], np.float32)
    for tensor in (ir.Tensor(array), external(tmp_path / "w.data", array)):
        np.testing.assert_array_equal(nonzero_mask(tensor), array != 0)
    assert nonzero_mask(ir.Tensor(array[:0])).shape == (0, 3)


def test_an_empty_tensor_has_no_zeros() -> None:
    counts = count_values(ir.Tensor(np.zeros((0, 4), np.float32)))
    assert counts == ValueCounts()
    assert counts.sparsity == 0


def test_a_scalar_is_one_value() -> None:
    assert count_values(ir.Tensor(np.array(0, np.float32))).sparsity == 1


def test_a_transposed_array_is_counted() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert count_values(ir.Tensor(array)) == ValueCounts(elements=12, zeros=1)


@pytest.mark.parametrize("piece", [16, 24, 4096])
@pytest.mark.parametrize("dtype", [*FLOATS, np.int8])
def test_pieces_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type, piece: int) -> None:
    monkeypatch.setattr(sparsity, "_PIECE_BYTES", piece)
    array: np.ndarray = np.asarray(np.arange(101) % 3 != 0, dtype).reshape(101, 1)
    expected = ValueCounts(elements=101, zeros=34)
    assert count_values(ir.Tensor(array)) == expected
    assert count_values(external(tmp_path / "w.data", array, offset=7)) == expected


def test_external_data_is_not_mapped(tmp_path: Path) -> None:
    tensor = external(tmp_path / "w.data", np.zeros((100, 100), np.float32))
    assert count_values(tensor).zeros == 10_000
    assert tensor.raw is None


def test_external_data_that_shrank_is_refused(tmp_path: Path) -> None:
    tensor = external(tmp_path / "w.data", np.zeros((10, 10), np.float32))
    (tmp_path / "w.data").write_bytes(bytes(396))
    with pytest.raises(ModelFileError, match=r"tensor 'w': '.*w\.data' ends too early \[GP103\]$"):
        count_values(tensor)


def test_external_data_that_is_gone_is_refused(tmp_path: Path) -> None:
    tensor = external(tmp_path / "w.data", np.zeros((10, 10), np.float32))
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelFileError, match=r"tensor 'w': cannot read .*No such file or directory \[GP103\]$"):
        count_values(tensor)


def test_counts_add_up() -> None:
    assert ValueCounts(10, 5, 1) + ValueCounts(30, 5) == ValueCounts(40, 10, 1)
    assert (ValueCounts(10, 5) + ValueCounts(30, 5)).sparsity == 0.25


def test_constants_of_a_model_are_listed_in_order() -> None:
    model = weighted_model(
        "g (float[2,4] x, float[4,3] w1, float[3] w0) => (float[2,3] y) "
        "{ a = MatMul(x, w1) c = Constant <value = float[1] {0}> () b = Add(a, w0) y = Add(b, c) }"
    )
    assert {name: counts.elements for name, counts in weight_counts(model).items()} == {"w1": 12, "w0": 3, "c": 1}


def test_strings_are_left_out() -> None:
    model = weighted_model("g (float[2,4] x, float[4,3] w) => (float[2,3] y) { y = MatMul(x, w) }")
    tensor = ir.StringTensor([b"a"], shape=ir.Shape((1,)), name="labels")
    model.graph.register_initializer(ir.Value(name="labels", const_value=tensor))
    assert list(weight_counts(model)) == ["w"]


def test_a_real_model_has_no_weight_that_is_not_finite(tiny_models: Callable[[str], ir.Model]) -> None:
    counts = weight_counts(tiny_models("bert_tiny"))
    assert counts["encoder.layer.0.attention.self.query.weight"] == ValueCounts(elements=64 * 64)
    assert sum(count.nonfinite for count in counts.values()) == sum(
        count.nonfinite for name, count in counts.items() if name.startswith("val_")
    )
