"""Packing in N:M groups: numbers, bytes, which layout is chosen, and what does not conform."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.backends.onnxruntime import session_for
from graphprune.errors import InputError
from graphprune.masks.axes import WeightAxes
from graphprune.masks.patterns import NM
from graphprune.packed.calls import is_packed_call, read_call
from graphprune.passes.base import run_pass
from graphprune.passes.pack_weights import PackWeights
from graphprune.passes.registry import parse_pass
from graphprune.passes.unpack_weights import UnpackWeights
from graphprune.stages.stage import Stage, set_stage
from graphprune.testing.check_pass import check_pass
from tests.weighted import weight_of, weighted_model

CONV = "main (float[N,10,7,8] x, float[6,10,3,3] w, float[6] b) => (float[N,6,P,Q] y) {{ y = Conv <{}> (x, w, b) }}"
MATMUL = "main (float[N,18] x, float[18,10] w) => (float[N,10] y) { y = MatMul (x, w) }"
CASES: dict[str, tuple[str, WeightAxes]] = {
    "convolution": (
        CONV.format("strides = [2, 1], dilations = [1, 1], pads = [1, 0, 1, 2], group = 1"),
        WeightAxes(),
    ),
    "matmul": (MATMUL, WeightAxes(1, 0)),
    "linear as torch exports it": (
        """main (float[N,18] x, float[10,18] w) => (float[N,10] y) {
            [w_transposed] w_transposed = Transpose <perm = [1, 0]> (w)
            y = MatMul (x, w_transposed)
        }""",
        WeightAxes(),
    ),
    "gemm with a bias": (
        (
            "main (float[N,18] x, float[18,10] w, float[10] b) => (float[N,10] y) "
            "{ y = Gemm <alpha = 0.5, beta = 2.0, transB = 0> (x, w, b) }"
        ),
        WeightAxes(1, 0),
    ),
    "gemm transB": (
        (
            "main (float[N,18] x, float[10,18] w) => (float[N,10] y) "
            "{ y = Gemm <alpha = 1.0, beta = 1.0, transB = 1> (x, w) }"
        ),
        WeightAxes(),
    ),
    "double precision": (MATMUL.replace("float", "double"), WeightAxes(1, 0)),
}
OTHER_FORMS: dict[str, tuple[str, WeightAxes]] = {
    "three-dimensional convolution": (
        "main (float[N,10,5,5,5] x, float[4,10,3,3,2] w) => (float[N,4,3,3,4] y) { y = Conv (x, w) }",
        WeightAxes(),
    ),
    "convolution of a permuted weight": (
        """main (float[N,10,5,5] x, float[3,2,10,6] w) => (float[N,6,4,3] y) {
            t = Transpose <perm = [3, 2, 1, 0]> (w)
            y = Conv (x, t)
        }""",
        WeightAxes(3, 2),
    ),
}


def conforming(text: str, axes: WeightAxes, pattern: NM, seed: int = 0) -> ir.Model:
    """A model whose `w` conforms to the pattern."""
    weight = weight_of(weighted_model(text, seed=seed), "w")
    scores = np.random.default_rng(seed).random(weight.shape, np.float32)
    weight = np.where(pattern.keep_mask(scores, axes, 0), weight, weight.dtype.type(0))
    model = weighted_model(text, {"w": weight})
    set_stage(model, Stage.SPARSE)
    return model


def packed_bytes(model: ir.Model) -> int:
    (node,) = [node for node in model.graph if is_packed_call(node)]
    return read_call(node).packed.nbytes


@pytest.mark.parametrize("pattern", [NM(2, 4), NM(1, 2), NM(3, 8), NM(1, 16), NM(5, 32)], ids=str)
@pytest.mark.parametrize(("text", "axes"), CASES.values(), ids=CASES)
def test_there_and_back(text: str, axes: WeightAxes, pattern: NM) -> None:
    model = conforming(text, axes, pattern)
    packed = check_pass(PackWeights(layout=str(pattern)), model, cases=2)
    assert [rewrite.rule for rewrite in packed.rewrites] == [str(pattern)]
    assert "w" not in packed.model.graph.initializers
    back = check_pass(UnpackWeights(), packed.model, model)
    assert weight_of(back.model, "w").tobytes() == weight_of(model, "w").tobytes()


@pytest.mark.parametrize(("text", "axes"), OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_other_forms_compute_the_same(text: str, axes: WeightAxes) -> None:
    packed = check_pass(PackWeights(layout="2:4"), conforming(text, axes, NM(2, 4)), cases=2)
    assert [rewrite.rule for rewrite in packed.rewrites] == ["2:4"]
    assert not check_pass(UnpackWeights(), packed.model, cases=2).model.functions


@pytest.mark.parametrize(("pattern", "share"), [(NM(2, 4), 0.57), (NM(1, 4), 0.32)], ids=str)
@pytest.mark.parametrize("text", [MATMUL.replace("18", "64"), CONV.replace("10", "64").format("group = 1")])
def test_the_bytes_of_float_weights(text: str, pattern: NM, share: float) -> None:
    axes = WeightAxes() if "Conv" in text else WeightAxes(1, 0)
    model = conforming(text, axes, pattern)
    result = run_pass(PackWeights(), model)
    assert [rewrite.rule for rewrite in result.rewrites] == [str(pattern)]
    assert packed_bytes(result.model) <= share * weight_of(model, "w").nbytes


def test_auto_leaves_dense_what_no_layout_makes_smaller() -> None:
    model = conforming(MATMUL, WeightAxes(1, 0), NM(31, 32))
    result = run_pass(PackWeights(), model)
    assert [str(skip) for skip in result.skips] == [
        "w: 0 of 180 elements are zero, fewer than 60.0%, and no N:M groups or blocks are smaller [GP340]"
    ]


def test_the_rewrite_says_what_it_saves() -> None:
    result = run_pass(PackWeights(layout="2:4"), conforming(MATMUL, WeightAxes(1, 0), NM(2, 4)))
    assert [str(rewrite) for rewrite in result.rewrites] == ["2:4: w: 100 of 180 elements stored, 425 bytes for 720"]


def test_a_weight_shared_in_two_orientations_has_a_layout_for_each() -> None:
    text = """main (float[N,16] x, float[16,16] w) => (float[N,16] y) {
        a = Gemm <transB = 0> (x, w)
        y = Gemm <transB = 1> (a, w)
    }"""
    weight = np.zeros((16, 16), np.float32)
    weight[:, ::4] = np.arange(1, 65, dtype=np.float32).reshape(16, 4)  # 1:4 along its rows, and full columns
    model = weighted_model(text, {"w": weight})
    result = check_pass(PackWeights(), model, cases=2)
    assert [rewrite.rule for rewrite in result.rewrites] == ["bitmask", "1:4"]
    refused = run_pass(PackWeights(layout="1:4"), model)
    assert [str(skip) for skip in refused.skips] == [
        "w: 4 of 4 consecutive input channels are not zero, expected at most 1 [GP347]"
    ]


def test_what_does_not_conform_says_why_and_stays() -> None:
    model = conforming(MATMUL, WeightAxes(1, 0), NM(3, 4))
    result = run_pass(PackWeights(layout="2:4"), model)
    expected = "w: 3 of 4 consecutive input channels are not zero, expected at most 2 [GP347]"
    assert [str(skip) for skip in result.skips] == [expected]
    assert [rewrite.rule for rewrite in result.rewrites] == ["stage"]


def test_what_would_not_get_smaller_says_why_and_stays() -> None:
    model = conforming(MATMUL, WeightAxes(1, 0), NM(7, 8))
    result = run_pass(PackWeights(layout="15:16"), model)
    assert [str(skip) for skip in result.skips] == ["w: takes 765 bytes as 15:16, and 720 as it is [GP348]"]


LAYOUTS = [
    "",
    "row",
    "2:4:8",
    "4:4",
    "5:4",
    "0:4",
    "2:3",
    "2:64",
    "02:4",
    "2 : 4",
    "block 4",
    "block 0x4",
    "9" * 5000 + ":4",
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout[:9])
def test_a_layout_that_is_none_is_refused(layout: str) -> None:
    with pytest.raises(InputError, match=r"pack-weights: layout is '.*', expected auto, rows, .* N:M .* \[GP346\]"):
        PackWeights(layout=layout)


@pytest.mark.parametrize("pass_", [PackWeights(layout="2:4"), PackWeights(layout="rows", min_sparsity=0.5)])
def test_text_form_goes_both_ways(pass_: PackWeights) -> None:
    assert parse_pass(str(pass_)) == pass_


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 40),
    st.sampled_from([NM(2, 4), NM(1, 4), NM(1, 2), NM(3, 8), NM(4, 32)]),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 99),
)
def test_any_matrix(rows: int, columns: int, pattern: NM, dtype: type[np.floating[Any]], seed: int) -> None:
    name = {np.float32: "float", np.float64: "double"}[dtype]
    text = f"main ({name}[N,{columns}] x, {name}[{rows},{columns}] w) => ({name}[N,{rows}] y) "
    model = conforming(text + "{ y = Gemm <transB = 1> (x, w) }", WeightAxes(), pattern, seed)
    packed = run_pass(PackWeights(), model).model
    feed: dict[str, npt.NDArray[Any]] = {"x": np.random.default_rng(seed).standard_normal((3, columns)).astype(dtype)}
    expected, found = (session_for(each, optimize=False).run(None, feed)[0] for each in (model, packed))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    unpacked = run_pass(UnpackWeights(), packed).model if packed.functions else packed
    assert weight_of(unpacked, "w").tobytes() == weight_of(model, "w").tobytes()
